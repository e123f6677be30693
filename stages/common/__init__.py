"""How a stage script starts, spreads over processes and exits."""
