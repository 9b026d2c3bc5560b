"""Writers of objects in the formats of other tools."""
