"""Read any data set, apply the rules and write the clean set."""
