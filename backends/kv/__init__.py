"""Contexts that are held as KV entries."""
