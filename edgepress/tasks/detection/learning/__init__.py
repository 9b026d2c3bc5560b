"""Learning of each coding, one a file, in torch."""
