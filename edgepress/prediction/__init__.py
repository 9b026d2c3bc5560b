"""An export's answers to pictures, outside of the pipeline."""
