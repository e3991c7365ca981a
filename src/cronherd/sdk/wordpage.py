"""The table of steps as Markdown, for docs/reference."""

from collections.abc import Iterable, Sequence

from cronherd.sdk.vocabulary import ABSENT, SECTIONS


def step_tables() -> dict[str, str]:
    """`steps`, all of them beside Laravel's words, and `absent`, what is not here."""
    head = ("step", "Laravel", "meaning", "example")
    sections = [
        f"## {title}\n\n"
        + _table(
            head, ((_code(w.step), _code(w.laravel), w.meaning, _code(w.example)) for w in words)
        )
        for title, words in SECTIONS.items()
    ]
    absent = [(_code(word.laravel), word.instead) for word in ABSENT]
    return {"steps": "\n\n".join(sections), "absent": _table(("Laravel", "here"), absent)}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """A list of names is code, name by name; nothing is a dash."""
    if "(" in text:
        return f"`{text}`"
    return ", ".join(f"`{part}`" for part in text.split(", ")) if text else "-"
