"""The detector: heads, backbone weights and prediction."""
