"""The detector's report page, its plots and drawings."""
