"""One training loop for both trainings."""
