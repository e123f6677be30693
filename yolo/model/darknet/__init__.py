"""The original program's .cfg and .weights files."""
