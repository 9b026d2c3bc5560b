"""Networks, one family a file, and the Bundle that stores them."""
