"""Make the 52 ARKit shapes for a head mesh that has none."""
