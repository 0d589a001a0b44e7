"""Builders that several test files share. Everything is made in code: no binary files."""
