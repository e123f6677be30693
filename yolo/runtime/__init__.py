"""Where and how fast the code runs, never what it computes."""
