"""Tracking: which faces of a clip show the same person, and which are no faces."""
