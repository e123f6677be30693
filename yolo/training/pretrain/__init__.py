"""Samples and loss of the classifier's training."""
