"""A folder that answers pictures on a machine without edgepress."""
