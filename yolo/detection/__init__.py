"""Boxes, targets, loss, decoding and non-maximum suppression."""
