"""What opens a door: hashes of passwords, random keys and their digests."""
