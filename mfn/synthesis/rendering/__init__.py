"""Painting and rendering of the head model: texture atlas, colors, light, and what surrounds the head."""
