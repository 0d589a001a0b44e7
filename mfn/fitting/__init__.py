"""Labels for photos: the head model fitted to the landmarks of a pseudo-label model."""
