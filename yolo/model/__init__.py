"""Networks, their weights and the original program's files."""
