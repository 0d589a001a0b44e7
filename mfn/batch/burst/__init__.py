"""Shots of one group: the same people found again, the shots ranked, and a page that shows why."""
