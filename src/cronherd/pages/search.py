"""The search box of a list: its tokens as chips, and addresses with one more or less of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from cronherd.domain.errors import Invalid
from cronherd.domain.search import Search, parse_search


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One token as it is shown; `without` is the address of the list without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What somebody searches for in a list; `fault` when it cannot be read."""

    text: str
    search: Search
    fault: Invalid | None = None

    @classmethod
    def read(cls, text: str, keys: Sequence[str]) -> "Box":
        try:
            return cls(text=text, search=parse_search(text, keys))
        except Invalid as error:
            return cls(text=text, search=Search(values={}), fault=error)

    def value(self, key: str) -> str:
        return self.search.values.get(key, "")

    def set(self, key: str, value: str) -> str:
        """The same search with another value of this key; an empty one takes it out."""
        values = {name: told for name, told in self.search.values.items() if name != key}
        if value:
            values[key] = value
        return str(replace(self.search, values=values))

    def chips(self, path: str) -> list[Chip]:
        values, words = self.search.values, self.search.words
        found = [
            Chip(
                text=str(Search(values={key: value})),
                without=address(path, self.set(key, "")),
            )
            for key, value in values.items()
        ]
        for place, word in enumerate(words):
            rest = Search(values=values, words=words[:place] + words[place + 1 :])
            found.append(Chip(text=f"“{word}”", without=address(path, str(rest))))
        return found


def address(path: str, text: str) -> str:
    """A list that is searched."""
    return f"{path}?{urlencode({'q': text})}" if text else path
