"""One module per revision, oldest first by their chain."""
