"""Made documents, filler and words."""
