"""Cutting contexts into passages and finding the nearest."""
