"""Things to look at before a training: targets, augmentation, rates, layers, memorising."""
