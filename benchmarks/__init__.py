"""Comparisons with other programs on seeded realistic mail; they gate nothing in the test suite.
What Twinbox does in a comparison is written in `ours.py`, everything else stands on its own."""
