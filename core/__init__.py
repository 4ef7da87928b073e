"""DECIDES: values, ports and pure functions; standard library only."""
