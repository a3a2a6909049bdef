"""Compare two runs: what changed, and whether a gate fails."""
