"""The trained detector in use: images and videos in, boxes out."""
