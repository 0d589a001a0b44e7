"""Draw characters into an image on the CPU, without OpenGL."""
