"""Choice search: a chain of slots, each one of several alternative modules."""
