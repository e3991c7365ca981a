"""Schema versions in order. A change comes in pairs: expand first, contract a version later."""
