"""What to look at besides a training: targets, augmentation, rates, layers, step times."""
