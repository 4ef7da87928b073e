"""The steps from one database layout to the next, numbered in order."""
