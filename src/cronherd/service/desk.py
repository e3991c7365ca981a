"""What every desk of the service works with, and the bounds that all of them keep."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from cronherd.domain.errors import Invalid, NotFound
from cronherd.domain.ident import SHORT, SHORTEST_PREFIX
from cronherd.domain.node import Node
from cronherd.domain.run import Run, RunState
from cronherd.store.base import Store
from cronherd.store.catalog import Catalog
from cronherd.store.facts import Mark, RunFilter
from cronherd.views import Json, page, run_view

PAGE_SIZE = 50
PAGE_LIMIT = 1_000  # more in one answer helps nobody and holds memory

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")
AnyDesk = TypeVar("AnyDesk", bound="Desk")
_MARK = re.compile(r"(\d{1,18})\.(\d{1,9})", re.ASCII)


class Waiter(Protocol):
    """Waits a little for something new; False when the service is closing."""

    def __call__(self) -> bool: ...


class Seals(Protocol):
    """Seals secrets where they are set, so that nobody below ever sees a value."""

    def begin(self) -> str | None:
        """Before the first secret of all: where a key was made, if one had to be."""
        ...

    def seal(self, name: str, value: str) -> bytes:
        """The value as it may be kept. Raises Unavailable without a key."""
        ...

    def reseal(self, name: str, sealed: bytes) -> bytes:
        """The same by the newest key. Raises Invalid when no key here opens it."""
        ...


class Keys(Protocol):
    """Makes and compares what opens a door; nobody below ever sees more than a hash."""

    def hash(self, password: str) -> str: ...
    def fits(self, hashed: str | None, password: str) -> bool:
        """None takes as long and fits nothing."""
        ...

    def is_stale(self, hashed: str) -> bool:
        """Whether it should be hashed anew."""
        ...

    def new(self) -> str:
        """A key nobody can guess."""
        ...

    def digest(self, key: str) -> bytes:
        """What is kept of a key."""
        ...

    def csrf(self, key: str) -> str:
        """What the pages of a session send along."""
        ...

    def same(self, one: str, other: str) -> bool:
        """In constant time."""
        ...


def at_one_instant(
    verb: Callable[Concatenate[AnyDesk, Asked], Answer],
) -> Callable[Concatenate[AnyDesk, Asked], Answer]:
    """All that this verb reads is as it was at one instant. It may not write, nor wait."""

    @wraps(verb)
    def reading(desk: AnyDesk, /, *args: Asked.args, **how: Asked.kwargs) -> Answer:
        with desk._catalog.one_view():  # noqa: SLF001 - a verb of the same desk
            return verb(desk, *args, **how)

    return reading


class Desk:
    """The contracts below, and what only a process can do.

    `wake` tells the engine of this process, if there is one, that there is something to do;
    `new_id` makes ids; `pause` waits between two looks at a growing output; `address` is where
    people find the pages, as the beginning of a link.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        *,
        new_id: Callable[[], str],
        wake: Callable[[], None],
        pause: Waiter,
        timezone: str,
        defaults: Mapping[str, object] | None = None,
        seals: Seals | None = None,
        keys: Keys | None = None,
        address: str = "",
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._new_id = new_id
        self._wake = wake
        self._pause = pause
        self._timezone = timezone
        self._defaults = defaults or {}
        self._seals = seals
        self._keys = keys
        self._address = address

    def _run_views(self, runs: Sequence[Run]) -> list[Json]:
        """The runs as documents; nodes are looked at only when one of them is silent."""
        if not any(run.suspected for run in runs):
            return [run_view(run) for run in runs]
        now_us = self._store.now_us()
        leases = {node.name: node.lease_us for node in self._catalog.nodes()}
        return [run_view(run, leases.get(run.node or ""), now_us) for run in runs]

    def _running(self, which: RunFilter) -> Iterator[Json]:
        """All running ones among the runs, newest first; there is no state for silence."""
        live = frozenset({RunState.RUNNING})
        search = replace(which.search, live=live, outcomes=frozenset())
        which = replace(which, search=search, limit=PAGE_LIMIT)
        while True:
            runs = self._catalog.runs(which)
            yield from self._run_views(runs)
            if len(runs) < PAGE_LIMIT:
                return
            which = replace(which, before=runs[-1].id)

    def _holders(self, key: str) -> list[Json]:
        """The runs that hold permits of a gate, each with how many."""
        held = self._catalog.holders(key)
        views = self._run_views([run for run, _ in held])
        return [{**view, "permits": n} for view, (_, n) in zip(views, held, strict=True)]

    def _run_view(self, run: Run) -> Json:
        return self._run_views([run])[0]

    def _find_node(self, name: str) -> Node:
        """By name in any case, or by a unique prefix of its id. Raises NotFound."""
        nodes = self._catalog.nodes()
        wanted = name.strip().lower()
        found = [node for node in nodes if node.name == name.strip()]
        found = found or [node for node in nodes if node.name.lower() == wanted]
        if not found and len(wanted) >= SHORTEST_PREFIX:
            found = [node for node in nodes if node.id.startswith(wanted)]
        if not found:
            raise NotFound(
                f"there is no node '{name[:120]}'",
                code="no_such_node",
                hint=_close_name(wanted, nodes),
            )
        if len(found) > 1:
            ids = ", ".join(f"{node.id[: SHORT + 4]} ({node.name})" for node in found[:5])
            raise NotFound(
                f"{len(found)} nodes are meant by '{name[:120]}'", code="ambiguous_node", hint=ids
            )
        return found[0]


def checked_limit(limit: int) -> int:
    """The limit itself. Raises Invalid for one out of range."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise Invalid(f"a limit is between 1 and {PAGE_LIMIT}", code="bad_limit")
    return limit


def read_mark(cursor: str | None) -> Mark | None:
    """Where a page begins, as `mark_text` says it. Raises Invalid."""
    if not cursor:
        return None
    found = _MARK.fullmatch(cursor)
    if found is None:
        raise bad_cursor()
    return Mark(at_us=int(found[1]), passed=int(found[2]))


def mark_text(mark: Mark | None) -> str | None:
    """A mark as the `next` of a page."""
    return f"{mark.at_us}.{mark.passed}" if mark is not None else None


def bad_cursor() -> Invalid:
    """For a cursor that no page gave."""
    return Invalid(
        "is no cursor", code="bad_cursor", hint="take it from `next` of a page", where="cursor"
    )


def cut(items: Sequence[Json], key: str, cursor: str | None, limit: int) -> Json:
    """A page of a list that is in the order of this key and small enough to be read whole."""
    rest = [item for item in items if not cursor or item[key] > cursor]
    found = rest[: checked_limit(limit)]
    return page(found, found[-1][key] if len(rest) > limit else None)


def _close_name(wanted: str, nodes: Sequence[Node]) -> str:
    names = {node.name.lower(): node.name for node in nodes}
    close = get_close_matches(wanted, names, n=1)
    return f"did you mean '{names[close[0]]}'?" if close else "'cronherd node list' shows them all"
