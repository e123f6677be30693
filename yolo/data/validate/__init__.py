"""Apply the rules and policies to any data set and write the clean set."""
