"""One thin script per DVC stage, the flow above them and the command line."""
