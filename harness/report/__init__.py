"""Turn the rows of runs into tables, pictures and pages."""
