"""From archives to training batches."""
