"""Which images are worth training on."""
