"""Files that browsers keep: served from memory under a name that changes with their content."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from cronherd.domain.errors import NotFound

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".LICENSE": "text/plain; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_ZIPPED = {".css", ".js", ".svg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file: its content, the same compressed where that helps, its entity tag."""

    content: bytes
    zipped: bytes | None
    tag: str
    kind: str


class Assets:
    """All static files under one mark, so that the addresses within them may be relative."""

    def __init__(self, folder: Traversable | None = None) -> None:
        found = _read(folder or files("cronherd.pages").joinpath("static"), "")
        whole = hashlib.sha256()
        for name in sorted(found):
            whole.update(name.encode() + b"\0" + found[name].tag.encode())
        self.mark = whole.hexdigest()[:12]
        self._files = found

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError for one that is not there: a mistake of ours."""
        self._files[name]
        return f"/static/{self.mark}/{name}"

    def answer(self, request: Request, mark: str, name: str) -> Response:
        """The file; one of an older mark is answered by today's, which nobody then keeps."""
        asset = self._files.get(name)
        if asset is None:
            raise NotFound("there is no such file", code="no_route", hint="load the page again")
        headers = {
            "Cache-Control": _FOR_EVER if mark == self.mark else _ASK_AGAIN,
            "ETag": asset.tag,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if asset.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        zips = asset.zipped is not None and "gzip" in request.headers.get("accept-encoding", "")
        if zips:
            headers["Content-Encoding"] = "gzip"
        content = asset.zipped if zips else asset.content
        return Response(content, headers=headers, media_type=asset.kind)


@cache
def assets() -> Assets:
    """Those of this program."""
    return Assets()


def _read(folder: Traversable, prefix: str) -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found |= _read(entry, f"{name}/")
        elif (suffix := PurePosixPath(name).suffix) in KINDS:
            content = entry.read_bytes()
            found[name] = Asset(
                content=content,
                zipped=gzip.compress(content, mtime=0) if suffix in _ZIPPED else None,
                tag=f'"{hashlib.sha256(content).hexdigest()[:16]}"',
                kind=KINDS[suffix],
            )
    return found
