"""Secrets in what a command wrote: each is replaced by ***, wherever it was cut into pieces.

Pure: takes bytes, gives bytes. It holds back only what may be the beginning of a secret, at most
one byte less than the longest one. Search is the C library's: a few secrets cost a few per cent of
a flood, none cost nothing, because then there is no sieve.
"""

STARS = b"***"


class Sieve:
    """One stream of one attempt."""

    __slots__ = ("_covered", "_held", "_masks")

    def __init__(self, masks: list[bytes]) -> None:
        self._masks = masks
        self._held = b""
        self._covered = 0
        """Bytes at the front of `_held` that belong to a secret whose stars are out already."""

    def feed(self, chunk: bytes) -> bytes:
        """What may leave now that `chunk` came."""
        text = self._held + chunk if self._held else chunk
        spans = self._spans(text)
        cut = self._open_end(text)
        if not spans and cut == len(text):
            self._held = b""
            return text
        return self._let_out(text, spans, cut)

    def rest(self) -> bytes:
        """At the end of the stream: what was held back was the beginning of no secret after all."""
        text = self._held
        return self._let_out(text, self._spans(text), len(text))

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        """Where secrets lie, in order, those that overlap as one: no part of one must be left."""
        found = [(0, self._covered)] if self._covered else []
        for mask in self._masks:
            size = len(mask)
            at = text.find(mask)
            while at >= 0:
                found.append((at, at + size))
                # The last one that overlaps it, if any: a run of them is one span in few steps.
                last = text.rfind(mask, at + 1, at + 2 * size - 1)
                at = last if last >= 0 else text.find(mask, at + size)
        if len(found) > 1:
            found = _merged(sorted(found))
        return found

    def _open_end(self, text: bytes) -> int:
        """From where on `text` may be the beginning of a secret; its length when nowhere."""
        size = len(text)
        first = size
        for mask in self._masks:
            at = text.find(mask[:1], max(0, size - len(mask) + 1))
            while 0 <= at < first:
                if mask.startswith(text[at:]):
                    first = at
                    break
                at = text.find(mask[:1], at + 1)
        return first

    def _let_out(self, text: bytes, spans: list[tuple[int, int]], cut: int) -> bytes:
        """Everything before `cut`, stars for secrets; a secret may reach beyond it."""
        pieces = []
        at = 0
        covered = self._covered
        self._covered = 0
        for start, end in spans:
            starred = covered > 0 and start == 0
            if start >= cut and not starred:
                break
            pieces.append(text[at:start])
            if not starred:
                pieces.append(STARS)
            at = end
        if at < cut:
            pieces.append(text[at:cut])
        else:
            self._covered = at - cut
        self._held = text[cut:]
        return b"".join(pieces)


def masks_of(texts: list[str]) -> list[bytes]:
    """What to look for: the longest first; an empty one would be everywhere."""
    return sorted({_bytes(text) for text in texts if text}, key=len, reverse=True)


def hide(text: str, texts: list[str]) -> str:
    """`text` without any of `texts`, for sentences: also where it quotes them as Python does."""
    if not texts:
        return text
    forms = {form for each in texts if each for form in (each, *_quoted(each))}
    sieve = Sieve(masks_of(list(forms)))
    whole = sieve.feed(_bytes(text)) + sieve.rest()
    return whole.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    """As it stands in an environment; what cannot be there is not there."""
    return text.encode("utf-8", "surrogateescape" if _is_plain(text) else "surrogatepass")


def _is_plain(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _quoted(text: str) -> tuple[str, str]:
    """How repr writes it inside of a longer text: with and without escaping the apostrophe."""
    escaped = repr("\"'" + text)[4:-1]
    return escaped, escaped.replace("\\'", "'")


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged = [spans[0]]
    for start, end in spans[1:]:
        if start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
