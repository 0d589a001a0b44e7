"""Networks that read a face once more, from the picture's own pixels: the face reader, the portrait reader and the eye reader."""
