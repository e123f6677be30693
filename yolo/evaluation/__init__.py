"""Scores, drawings and the report."""
