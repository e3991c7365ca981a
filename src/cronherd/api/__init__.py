"""The HTTP edge: one file of routes per noun, errors as RFC 9457, a server on a Unix socket."""
