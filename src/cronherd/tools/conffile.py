"""A conf.json that is read again when it changes; a malformed edit changes nothing."""

from collections.abc import Callable
from pathlib import Path

from cronherd.domain.errors import Invalid
from cronherd.domain.gearmanconf import Conf, read_conf

CONF_BYTES = 16 << 20
LOOK_US = 1_000_000

Mark = tuple[int, int, int, int]


def load_conf(path: Path, *, worker: bool) -> Conf:
    """Raises Invalid, with the file in its words."""
    try:
        with path.open("rb") as file:
            raw = file.read(CONF_BYTES + 1)
    except OSError as error:
        text, hint = f"cannot be read: {error.strerror}", "name it with --config FILE"
        raise Invalid(text, code="bad_gearman_conf", hint=hint, where=str(path)) from None
    if len(raw) > CONF_BYTES:
        text = f"has more than {CONF_BYTES >> 20} MiB"
        raise Invalid(text, code="bad_gearman_conf", where=str(path))
    try:
        return read_conf(raw, worker=worker)
    except Invalid as error:
        where = f"{path}: {error.where}" if error.where else str(path)
        raise Invalid(error.text, code=error.code, hint=error.hint, where=where) from None


class ConfFile:
    """The file of a worker. `conf` is the last one that was whole."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Raises Invalid: there is nothing to begin with."""
        self._path = path
        self._say = say
        self._mark = self._look()
        self.conf = load_conf(path, worker=True)

    def changed(self) -> bool:
        """Whether `conf` is a new one since the last question."""
        mark = self._look()
        if mark == self._mark:
            return False
        self._mark = mark
        try:
            conf = load_conf(self._path, worker=True)
        except Invalid as error:
            self._say(f"{error}; what it said before still holds")
            return False
        if conf == self.conf:
            return False
        self.conf = conf
        return True

    def _look(self) -> Mark | None:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_size, seen.st_ino, seen.st_ctime_ns
