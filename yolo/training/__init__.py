"""Schedules, state and the training loop."""
