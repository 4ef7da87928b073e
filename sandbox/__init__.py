"""PRETENDS: Google and Gmail doubles on real sockets, for the demo and the tests; imports nothing of Twinbox."""
