"""Versions of the models: gate, release, model card, remote, pull."""
