"""Reading and writing: files, images and meshes."""
