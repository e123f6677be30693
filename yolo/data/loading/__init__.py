"""The order of samples, batches and image augmentation."""
