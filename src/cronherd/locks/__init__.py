"""Locks for things outside cronherd: one contract, and a file per kind of server."""
