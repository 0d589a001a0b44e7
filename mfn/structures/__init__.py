"""The records that travel between the other folders: faces, head model, camera, cells. NumPy only."""
