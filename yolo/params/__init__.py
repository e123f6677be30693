"""Typed, strict parameters: one module per block of params.yaml."""
