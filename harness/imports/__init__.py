"""Predictions of other tools as runs of this one, so that reports show them in the same tables.

A reader turns a tool's published file into `Imported`; `folder` writes it as a run folder. What the
other tool did not write down (tokens, times, memory) stays empty, and is never 0.
"""
