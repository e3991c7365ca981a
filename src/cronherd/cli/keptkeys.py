"""Tokens that `cronherd login` keeps, by URL: a file in the person's own configuration folder."""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cronherd.domain.errors import Invalid, Unavailable

FILE_NAME = "tokens.json"


def file_of(environ: Mapping[str, str], home: Path | None) -> Path:
    """Where they are kept. Raises Unavailable without a home directory."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if base.startswith("/"):
        return Path(base) / "cronherd" / FILE_NAME
    if home is None:
        raise Unavailable(
            "there is no home directory to keep a token in",
            code="no_home",
            hint="put it into the variable CRONHERD_TOKEN",
        )
    return home / ".config" / "cronherd" / FILE_NAME


def token_for(path: Path, url: str) -> str | None:
    """The token of this URL; None when there is none. Raises Invalid for a file others can read."""
    token = _read(path).get(_key(url))
    return token if isinstance(token, str) and token else None


def keep_token(path: Path, url: str, token: str) -> None:
    """Write it, readable for its owner only, whole or not at all."""
    _write(path, {**_read(path), _key(url): token})


def forget_token(path: Path, url: str) -> None:
    """Nothing when there is none."""
    kept = _read(path)
    if kept.pop(_key(url), None) is not None:
        _write(path, kept)


def _key(url: str) -> str:
    return url.strip().rstrip("/")


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise Invalid(
                    f"{path} can be read by others",
                    code="file_not_private",
                    hint=f"chmod 600 {path}, and log in again if somebody did",
                )
            kept = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"cannot read {path}: {error}", code="not_readable", hint="remove it and log in again"
        ) from None
    return kept if isinstance(kept, dict) else {}


def _write(path: Path, kept: dict[str, object]) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(made, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            json.dump(kept, file, indent=1)
            file.write("\n")
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise Unavailable(f"cannot write {path}: {error.strerror}", code="not_writable") from None
