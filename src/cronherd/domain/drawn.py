"""Numbers that look random and are always the same for the same words, on every host."""

from hashlib import blake2b


def drawn(words: str, below: int) -> int:
    """A number in [0, below) for these words; `below` is at most 2**48."""
    digest = blake2b(words.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % below
