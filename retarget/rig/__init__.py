"""Read a character: its joints, its morph targets and how the 52 ARKit shapes drive them."""
