"""Gist tokens: layout, masks, compression, training, checkpoints. Knows nothing of benchmarks."""
