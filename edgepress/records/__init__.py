"""Records that cross a stage border: frozen, versioned, JSON or Parquet, never pickle."""
