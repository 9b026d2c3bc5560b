"""How the learning rate goes with time."""
