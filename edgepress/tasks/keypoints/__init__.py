"""Named points of one object, a place for each."""
