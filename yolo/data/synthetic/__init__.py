"""The embedded demo sets."""
