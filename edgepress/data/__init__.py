"""Images: where they come from, whether they are sound, and how they become a network's input."""
