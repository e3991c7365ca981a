"""What a takeover has done so far, kept in the state directory before it is done.

A takeover is a folder with `journal.json` and each file as it was. It is `planned` until every
file is changed, then `commented` until the jobs are enabled, then `done`. A revert makes it
`reverting`, at the end `reverted`. Each step may be done twice, so a life that ends between two
of them is continued or undone by the next one.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from cronherd.crontabs.swap import sync_folder, write_private
from cronherd.domain.errors import Conflict, Unavailable
from cronherd.domain.takenover import Taken

FOLDER = "takeovers"
_JOURNAL = "journal.json"


class Stage(StrEnum):
    PLANNED = "planned"
    COMMENTED = "commented"
    DONE = "done"
    REVERTING = "reverting"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFile:
    """One crontab of a takeover; `path` as the host says it, `file` where it is."""

    path: str
    file: str
    backup: str
    before: str  # SHA-256 of the file as it was, and with the lines commented out
    after: str
    lines: tuple[Taken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Definitions of one source: what is applied in one step."""

    source: str
    definitions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """All of one takeover; `at` is the instant in its marks."""

    id: str
    at: str
    stage: Stage
    files: tuple[TakenFile, ...]
    groups: tuple[Group, ...]

    @property
    def jobs(self) -> tuple[str, ...]:
        return tuple(str(each["name"]) for group in self.groups for each in group.definitions)


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


class Journal:
    """The takeovers of one host; hold it by `held` while changing anything."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    @contextmanager
    def held(self) -> Iterator[None]:
        """One takeover at a time. Raises Conflict, or Unavailable where nothing can be kept."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"cannot keep backups in {self._folder}: {error.strerror}", code="not_writable"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Conflict(
                "another takeover is under way on this host",
                code="takeover_running",
                hint="wait for its end",
            ) from None
        finally:
            os.close(lock)

    def begin(self, takeover: Takeover, originals: Sequence[bytes]) -> Takeover:
        """Keep the files as they are, then what is going to be done; all of it is on disk."""
        place = self._folder / takeover.id
        number = 1
        while place.exists():
            number += 1
            place = self._folder / f"{takeover.id}-{number}"
        place.mkdir(mode=0o700)
        kept = replace(takeover, id=place.name)
        for file, raw in zip(takeover.files, originals, strict=True):
            write_private(place / file.backup, raw, owner=Path(file.file).stat())
        self.save(kept)
        sync_folder(self._folder)
        return kept

    def save(self, takeover: Takeover) -> None:
        document = asdict(takeover)
        for file in document["files"]:
            for line in file["lines"]:  # bytes of any encoding, as text that JSON keeps
                line["original"] = line["original"].decode("latin-1")
        raw = json.dumps(document, indent=1).encode()
        write_private(self._folder / takeover.id / _JOURNAL, raw)

    def backup(self, takeover: Takeover, file: TakenFile) -> Path:
        return self._folder / takeover.id / file.backup

    def open_ones(self) -> tuple[Takeover, ...]:
        """Takeovers that are not reverted, the oldest first."""
        found = [_read(path) for path in sorted(self._folder.glob(f"*/{_JOURNAL}"))]
        return tuple(sorted((t for t in found if t.stage is not Stage.REVERTED), key=_age))


def _age(takeover: Takeover) -> tuple[str, int, str]:
    return takeover.at, len(takeover.id), takeover.id


def _read(path: Path) -> Takeover:
    try:
        found = json.loads(path.read_bytes())
        files = tuple(
            TakenFile(
                **{
                    **file,
                    "lines": tuple(
                        Taken(line["line"], line["job"], line["original"].encode("latin-1"))
                        for line in file["lines"]
                    ),
                }
            )
            for file in found["files"]
        )
        groups = tuple(
            Group(source=group["source"], definitions=tuple(group["definitions"]))
            for group in found["groups"]
        )
        stage = Stage(found["stage"])
        return Takeover(id=found["id"], at=found["at"], stage=stage, files=files, groups=groups)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"cannot read {path}: {error}",
            code="not_readable",
            hint="the files as they were lie beside it",
        ) from None
