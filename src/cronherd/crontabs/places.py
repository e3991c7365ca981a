"""Which crontabs a host's cron reads, and which it passes over and why.

The rules are those of Debian's cron; of cronie where user crontabs lie in /var/spool/cron itself.
"""

import pwd
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cronherd.domain.crontab_lines import Kind
from cronherd.domain.errors import Unavailable

SPOOL = "/var/spool/cron"
DEBIAN_SPOOL = "/var/spool/cron/crontabs"
CRONTAB = "/etc/crontab"
CRON_D = "/etc/cron.d"
ANACRONTAB = "/etc/anacrontab"
PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_RUN_PARTS = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CRONIE_SKIPS = re.compile(r"\..*|#.*|.*~|.*\.(rpmsave|rpmorig|rpmnew|cfsaved)", re.DOTALL)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

UserNumber = Callable[[str], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A crontab that cron reads: its path on that host, where it is now, whose it is."""

    path: str
    file: Path
    kind: Kind
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A file that lies there, and why cron does not run it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One of the folders of run-parts, such as /etc/cron.daily, and what is run of it."""

    path: str
    scripts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCrontabs:
    """All that the crons of a host read."""

    files: tuple[HostFile, ...]
    passed_over: tuple[PassedOver, ...]
    folders: tuple[Folder, ...]
    anacron: bool = False


def user_number(name: str) -> int | None:
    """The number of a user of this host."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def find_crontabs(root: Path, uid_of: UserNumber = user_number) -> HostCrontabs:
    """Look through a host whose file system begins at `root`. Raises Unavailable."""
    search = _Search(root=root, superuser=root.stat().st_uid, uid_of=uid_of)
    files = [*search.system(), *search.users()]
    folders = tuple(search.folders())
    return HostCrontabs(
        files=tuple(files),
        passed_over=tuple(search.passed_over),
        folders=folders,
        anacron=_below(root, "/usr/sbin/anacron").exists(),
    )


def host_zone(root: Path) -> str | None:
    """The time zone a host's cron follows, as that host is set; None where nothing tells it."""
    link = _below(root, "/etc/localtime")
    if link.is_symlink():
        _, found, name = str(link.readlink()).partition("zoneinfo/")
        if found:
            return name
    try:
        return _below(root, "/etc/timezone").read_text().strip() or None
    except OSError:
        return None


def folders_of(command: str) -> tuple[str, ...]:
    """The run-parts folders that a command of a crontab names."""
    found = re.findall(rf"/etc/cron\.(?:{'|'.join(PERIODS)})\b", command)
    return tuple(dict.fromkeys(found)) if "run-parts" in command else ()


class _Search:
    def __init__(self, *, root: Path, superuser: int, uid_of: UserNumber) -> None:
        self.root, self.superuser, self.uid_of = root, superuser, uid_of
        self.passed_over: list[PassedOver] = []
        spool = _below(root, SPOOL)
        self.cronie = spool.is_dir() and not _below(root, DEBIAN_SPOOL).is_dir()

    def system(self) -> Iterator[HostFile]:
        paths = [CRONTAB] if _below(self.root, CRONTAB).exists() else []
        for path in [*paths, *self._listed(CRON_D)]:
            name = path.rpartition("/")[2]
            reason = self._bad_name(name) if path != CRONTAB else ""
            if self._reads(path, reason or self._bad_system(path)):
                yield HostFile(path=path, file=_below(self.root, path), kind=Kind.SYSTEM)
        file = _below(self.root, ANACRONTAB)
        if file.exists() and self._reads(ANACRONTAB, self._bad_system(ANACRONTAB)):
            yield HostFile(path=ANACRONTAB, file=file, kind=Kind.ANACRON)

    def users(self) -> Iterator[HostFile]:
        for path in self._listed(SPOOL if self.cronie else DEBIAN_SPOOL):
            name = path.rpartition("/")[2]
            if self._reads(path, self._bad_user_file(path, name)):
                file = _below(self.root, path)
                yield HostFile(path=path, file=file, kind=Kind.USER, owner=name)

    def folders(self) -> Iterator[Folder]:
        for period in PERIODS:
            path = f"/etc/cron.{period}"
            scripts = [p for p in self._listed(path) if self._reads(p, self._bad_script(p))]
            if scripts:
                yield Folder(path=path, scripts=tuple(p.rpartition("/")[2] for p in scripts))

    def _listed(self, folder: str) -> list[str]:
        try:
            names = sorted(entry.name for entry in _below(self.root, folder).iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(
                f"cannot read {folder}: {error.strerror}",
                code="not_readable",
                hint="root may: repeat it as root",
            ) from None
        return [f"{folder}/{name}" for name in names if name != ".placeholder"]

    def _reads(self, path: str, reason: str) -> bool:
        if reason:
            self.passed_over.append(PassedOver(path=path, reason=reason))
        return not reason

    def _bad_name(self, name: str) -> str:
        if self.cronie:
            return "cronie passes over such names" if _CRONIE_SKIPS.fullmatch(name) else ""
        if _RUN_PARTS.fullmatch(name):
            return ""
        return "Debian's cron passes over names with other characters than letters, digits, _ and -"

    def _bad_system(self, path: str) -> str:
        file = _below(self.root, path)
        try:
            seen, link = file.stat(), file.lstat()
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        if not stat.S_ISREG(seen.st_mode):
            return "it is not a regular file"
        if {seen.st_uid, link.st_uid} != {self.superuser}:
            return "it does not belong to root"
        if seen.st_mode & _OTHERS_WRITE:
            return "others than root may write it"
        return "it has more than one hard link" if seen.st_nlink > 1 else ""

    def _bad_user_file(self, path: str, name: str) -> str:
        uid = self.uid_of(name)
        if name.startswith((".", "tmp.")):
            return "it is a temporary file of crontab"
        if uid is None:
            return f"this host has no user '{name[:60]}'"
        seen = _below(self.root, path).lstat()
        if not stat.S_ISREG(seen.st_mode):
            return "it is not a regular file"
        if seen.st_uid not in {uid, self.superuser}:
            return f"it does not belong to {name[:60]}"
        if stat.S_IMODE(seen.st_mode) not in ({0o600, 0o400} if self.cronie else {0o600}):
            return "its mode is not 0600"
        return "it has more than one hard link" if seen.st_nlink > 1 else ""

    def _bad_script(self, path: str) -> str:
        file = _below(self.root, path)
        if not _RUN_PARTS.fullmatch(file.name) and not self.cronie:
            return "run-parts passes over names with other characters than letters, digits, _ and -"
        if not file.is_file():
            return "it is not a regular file"
        return "" if file.stat().st_mode & 0o111 else "it is not executable"


def _below(root: Path, path: str) -> Path:
    return root / path.removeprefix("/")
