"""Measures of faces, and the flags that follow from them: eyes closed, smile, looking at the camera."""
