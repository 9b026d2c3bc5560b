"""Several classes, one or none for each image."""
