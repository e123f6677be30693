"""The trained detector in use: pictures and videos in, boxes out."""
