"""From packs of labeled images to training batches."""
