"""The validity checks that stand beside every number."""
