"""From `Faces` to animated characters: photos, clips and live video."""
