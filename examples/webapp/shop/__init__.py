"""A small shop: a web page, its orders in an SQLite file, and a schedule."""
