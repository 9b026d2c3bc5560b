"""A reference interpreter of Core ML programs in NumPy: what the graph computes, on any host."""
