"""The history of the database layout, applied by `sync.migrate`."""
