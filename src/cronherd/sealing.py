"""The key of the secrets: a file that stays on its hosts, and what it seals and opens.

Nothing is remembered: the file is read when something is sealed or opened, so a key that was
added counts at once, and a value lives no longer than the call that asked for it.
"""

import base64
import binascii
import os
import stat
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cronherd.domain.errors import CronherdError, Invalid, Unavailable

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

FILE_NAME = "secret.key"
KEY_BYTES = 32
FILE_BYTES = 64 << 10
MAKE = "head -c 32 /dev/urandom | base64"
_SAME = "each node needs the same file: secret_key_file"
_ELSEWHERE = frozenset({"no_secret_key", "bad_secret_key"})  # a key made now would open nothing
_ACL = "system.posix_acl_access"
_ACL_USER, _ACL_GROUP_OBJ, _ACL_GROUP = 0x02, 0x04, 0x08


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """Seals and opens with the keys in a file: the first line seals, each of them opens.

    `makes`: the file may be made here, at the first secret of all.
    """

    path: Path
    makes: bool = False

    def begin(self) -> str | None:
        """Before the first secret of all: make the key if it may be made here, and say where."""
        if not self.makes or os.path.lexists(self.path):
            return None
        _library()
        _make_key_file(self.path)
        return str(self.path)

    def seal(self, name: str, value: str) -> bytes:
        """The value as it is kept. Raises Unavailable without a key that may be used."""
        return self._keys().encrypt(_bound(name, value))

    def reseal(self, name: str, sealed: bytes) -> bytes:
        """The same, sealed by the first key. Raises Invalid when no key here opens it."""
        keys = self._keys()
        _open(keys, name, sealed, self.path)
        return keys.rotate(sealed)

    def open_all(
        self, names: Sequence[str], sealed: Mapping[str, bytes]
    ) -> dict[str, str | CronherdError]:
        """By name the value, or the sentence why a run that needs it is not started."""
        try:
            keys = self._keys()
        except Unavailable as error:
            closed = {name: _closed(name, error) for name in sealed}
            return {name: closed.get(name) or _missing(name) for name in names}
        return {
            name: self._open_one(keys, name, sealed[name]) if name in sealed else _missing(name)
            for name in names
        }

    def _open_one(self, keys: "MultiFernet", name: str, sealed: bytes) -> str | CronherdError:
        try:
            return _open(keys, name, sealed, self.path)
        except Invalid as error:
            return _closed(name, error)

    def _keys(self) -> "MultiFernet":
        fernet = _library()
        keys = [base64.urlsafe_b64encode(key) for key in _read_keys(self.path)]
        opener: MultiFernet = fernet.MultiFernet([fernet.Fernet(key) for key in keys])
        return opener


def reveal_with(
    vault: Vault, sealed: Callable[[Sequence[str]], Mapping[str, bytes]]
) -> Callable[[Sequence[str]], Mapping[str, str | CronherdError]]:
    """How an agent opens what the runs of a batch need: one question, and nothing is kept."""
    return lambda names: vault.open_all(names, sealed(names))


def _library() -> Any:
    """It loads with the first secret: most agents never see one. Raises Unavailable."""
    try:
        from cryptography import fernet  # noqa: PLC0415 - see above
    except ImportError as error:
        raise Unavailable(
            "the library that seals secrets is not installed",
            code="no_sealing",
            hint="pip install 'cronherd[secrets]'",
        ) from error
    return fernet


# ------------------------------------------------------------------ what is sealed


def _bound(name: str, value: str) -> bytes:
    """The name is sealed too: a row that was copied under another name does not open."""
    return f"{name}\n{value}".encode()


def _open(keys: "MultiFernet", name: str, sealed: bytes, path: Path) -> str:
    try:
        found, _, value = keys.decrypt(sealed).decode().partition("\n")
    except (_library().InvalidToken, UnicodeDecodeError):
        raise Invalid(f"no key in {path} opens it", code="wrong_secret_key", hint=_SAME) from None
    if found != name:
        text = "what is kept under its name was sealed under another"
        raise Invalid(text, code="wrong_secret_key", hint="set it again")
    return value


def _missing(name: str) -> Invalid:
    return Invalid(
        f"the job wants the secret '{name}', and there is none of that name",
        code="no_secret",
        hint=f"cronherd secret set {name}",
    )


def _closed(name: str, why: CronherdError) -> Invalid:
    text = f"this node cannot open the secret '{name}': {why.text}"
    return Invalid(text, code="no_secret", hint=_SAME if why.code in _ELSEWHERE else why.hint)


# ------------------------------------------------------------------ the file


def _read_keys(path: Path) -> list[bytes]:
    """The keys, the one that seals first. Raises Unavailable, with no word of what is in it."""
    lines = _read_private(path).split(b"\n")
    keys = [
        _key(line.strip(), number, path)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith(b"#")
    ]
    if not keys:
        raise Unavailable(
            f"the key file {path} is empty", code="bad_secret_key", hint=f"fill it: {MAKE}"
        )
    return keys


def _key(line: bytes, number: int, path: Path) -> bytes:
    try:
        key = base64.b64decode(line.replace(b"-", b"+").replace(b"_", b"/"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise Unavailable(
            f"line {number} of the key file {path} is no key: {KEY_BYTES} bytes in base64",
            code="bad_secret_key",
            hint=f"make one with: {MAKE}",
        )
    return key


def _read_private(path: Path) -> bytes:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait
        try:
            return _read_checked(opened, path)
        finally:
            os.close(opened)
    except OSError as error:
        raise Unavailable(
            f"cannot read the key file {path}: {error.strerror}",
            code="no_secret_key",
            hint=f"copy it from a node that has it, or make it: (umask 077; {MAKE} > {path})",
        ) from None


def _read_checked(opened: int, path: Path) -> bytes:
    mode = os.fstat(opened).st_mode  # of the very file that is read
    if not stat.S_ISREG(mode):
        raise Unavailable(f"the key file {path} is no file", code="no_secret_key")
    if mode & stat.S_IRWXO or _group_may(opened, mode):
        raise Unavailable(
            f"the key file {path} can be used by others than its owner",
            code="unsafe_secret_key",
            hint=f"chmod 600 {path}; if others may have read it, change the key",
        )
    return os.read(opened, FILE_BYTES)


def _group_may(opened: int, mode: int) -> bool:
    """Whether the group, or another user by name, may use the file.

    With an access list the group's bits are only its mask: so a credential of systemd looks as if
    the group could read it, which gives nobody but the unit's user the right to.
    """
    try:
        listed = os.getxattr(opened, _ACL)
    except OSError:
        return bool(mode & stat.S_IRWXG)
    return any(
        may and (tag in {_ACL_GROUP_OBJ, _ACL_GROUP} or (tag == _ACL_USER and who != os.geteuid()))
        for tag, may, who in struct.iter_unpack("<HHI", listed[4:])
    )


def _make_key_file(path: Path) -> None:
    """One new key; whoever made the file at the same instant was first. Raises Unavailable."""
    line = base64.urlsafe_b64encode(os.urandom(KEY_BYTES)) + b"\n"
    try:
        made, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
        try:
            with open(made, "wb") as file:  # noqa: PTH123 - a descriptor
                if os.geteuid() == 0:  # root at somebody's directory: its agent has to read it
                    owner = path.parent.stat()
                    os.fchown(made, owner.st_uid, owner.st_gid)
                file.write(line)
                file.flush()
                os.fsync(made)
            with suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            os.unlink(fresh)  # noqa: PTH108 - a name from tempfile
        _keep(path.parent)
    except OSError as error:
        raise Unavailable(
            f"cannot make the key file {path}: {error.strerror}", code="not_writable"
        ) from error


def _keep(folder: Path) -> None:
    """The name of a new file outlives a power cut."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
