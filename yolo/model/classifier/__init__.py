"""The classifier that a backbone is pre-trained as."""
