"""Draw characters into an image, with NumPy or OpenGL."""
