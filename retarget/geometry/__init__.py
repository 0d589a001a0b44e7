"""Geometry without files: rotations, meshes and where faces stand."""
