"""Suites: samples plus a scorer, one file each; they meet the harness in `harness.api.Suite`."""
