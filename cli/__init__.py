"""ASK: the command line. Translates arguments and results; the rules are in `sync`."""
