"""The small process that owns the children of one host. Standard library only."""
