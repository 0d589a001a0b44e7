"""Clips and webcams: reading, writing, tracking and smoothing."""
