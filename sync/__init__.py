"""DOES: use cases, transactions, jobs."""
