"""Documents kept on disk, to be asked again."""
