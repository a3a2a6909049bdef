"""Questions with answers from a person's own documents, for training and for tests."""
