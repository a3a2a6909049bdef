"""Data sets from files, folders and the hub."""
