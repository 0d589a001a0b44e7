"""Blender: an add-on that imports our scenes ready to render, and files that Blender writes for us."""
