"""Geometry without files: rotations, meshes and node trees."""
