"""How often each image is seen."""
