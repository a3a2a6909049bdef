"""Training of gist adapters and of the reference model."""
