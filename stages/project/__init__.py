"""What `make` and a new user call: code deps, presets, plots page, summary."""
