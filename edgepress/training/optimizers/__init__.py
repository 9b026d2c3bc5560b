"""What makes steps of gradients."""
