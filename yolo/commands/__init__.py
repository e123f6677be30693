"""The library's commands, one module per group; heavy imports happen inside the commands."""
