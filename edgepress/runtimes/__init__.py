"""One runtime a file: a target's format to answers."""
