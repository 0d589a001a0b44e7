"""Many photos at once: tables of faces from folders and buckets, on one machine or a cluster, and the best shot of a burst."""
