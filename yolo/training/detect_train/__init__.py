"""Samples, box augmentation and loss of the detector's training."""
