"""The classifier's report page."""
