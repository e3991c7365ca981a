"""The same words as Service, said to a running cronherd: over its Unix socket or a URL.

Standard library only: the command line starts with this module and has 200 ms in all.
"""

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from cronherd.domain.errors import (
    Conflict,
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Unavailable,
)
from cronherd.domain.instant import format_instant

Json = dict[str, Any]

TIMEOUT_S = 30.0
ANSWER_BYTES = 256 << 20  # 1,000 jobs of 64 KiB, each byte escaped; more is not an answer of ours
SOCKET_PATH_BYTES = 107  # sun_path without its closing NUL
_PREFIX = "/api/v1"
_START = "start it with 'cronherd up'"

Kind = TypeVar("Kind", bound=CronherdError)


class Fleet(Protocol):
    """What one may ask of a fleet, here (Service) or elsewhere (Client)."""

    def list_jobs(self, after: str | None = None, limit: int = 500) -> Json: ...
    def show_job(self, name: str) -> Json: ...
    def create_job(self, definition: object, actor: str, source: str = "command") -> Json: ...
    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json: ...
    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json: ...
    def delete_job(self, name: str, actor: str) -> Json: ...
    def apply_jobs(
        self, definitions: Sequence[object], source: str, actor: str, *, dry_run: bool
    ) -> Json: ...
    def run_job(
        self, name: str, actor: str, *, request_id: str | None = None, force: bool = False
    ) -> Json: ...
    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Json: ...
    def show_run(self, prefix: str) -> Json: ...
    def cancel_run(self, prefix: str, actor: str) -> Json: ...
    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = 64
    ) -> Json: ...
    def follow_output(self, prefix: str) -> Iterator[Json]: ...
    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json: ...
    def timers(self, limit: int = 500) -> Json: ...
    def status(self) -> Json: ...
    def list_nodes(self) -> Json: ...
    def list_ledger(self, job: str | None = None, limit: int = 50) -> Json: ...
    def list_events(self, limit: int = 50) -> Json: ...
    def health(self) -> Json: ...


class Client:
    """A fleet elsewhere. The server knows who asks, so `actor` is not sent.

    One connection per request: usable by many threads, and none is stale. Nothing is sent twice.
    """

    def __init__(
        self,
        connection: Callable[..., http.client.HTTPConnection],
        name: str,
        *,
        base: str = "",
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._connection = connection
        self._name = name
        self._base = base + _PREFIX
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s

    @classmethod
    def over_socket(cls, path: Path, timeout_s: float = TIMEOUT_S) -> "Client":
        """By the Unix socket of a cronherd on this host."""
        return cls(partial(_SocketConnection, path), str(path), timeout_s=timeout_s)

    @classmethod
    def over_url(cls, url: str, token: str | None, timeout_s: float = TIMEOUT_S) -> "Client":
        """By `http://` or `https://`, whose certificate is verified. Raises Invalid."""
        scheme, host, port, base = _address(url)
        secure = scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        way = partial(kind, host, port)
        return cls(way, url.rstrip("/"), base=base, token=token, timeout_s=timeout_s)

    # Jobs

    def list_jobs(self, after: str | None = None, limit: int = 500) -> Json:
        return self._ask("GET", "/jobs", {"after": after, "limit": limit})

    def show_job(self, name: str) -> Json:
        return self._ask("GET", _path("jobs", name))

    def create_job(self, definition: object, actor: str, source: str = "command") -> Json:
        del actor
        return self._ask("POST", "/jobs", {"source": source}, [definition])

    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json:
        del actor
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return self._ask("PUT", _path("jobs", name), body=[definition], headers=headers)

    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        del actor
        return self._ask("POST", _path("jobs", name, "enable" if enabled else "disable"))

    def delete_job(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", _path("jobs", name))

    def apply_jobs(
        self, definitions: Sequence[object], source: str, actor: str, *, dry_run: bool
    ) -> Json:
        del actor
        body = {"definitions": list(definitions), "source": source, "dry_run": dry_run}
        return self._ask("POST", "/apply", body=[body])

    # Runs

    def run_job(
        self, name: str, actor: str, *, request_id: str | None = None, force: bool = False
    ) -> Json:
        del actor
        body = {"request_id": request_id, "force": force}
        return self._ask("POST", _path("jobs", name, "runs"), body=[body])

    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Json:
        query = {"job": job, "state": state, "outcome": outcome, "before": before, "limit": limit}
        return self._ask("GET", "/runs", query)

    def show_run(self, prefix: str) -> Json:
        return self._ask("GET", _path("runs", prefix))

    def cancel_run(self, prefix: str, actor: str) -> Json:
        del actor
        return self._ask("POST", _path("runs", prefix, "cancel"))

    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = 64
    ) -> Json:
        query = {"attempt": attempt, "after": after, "limit": limit}
        return self._ask("GET", _path("runs", prefix, "output"), query)

    def follow_output(self, prefix: str) -> Iterator[Json]:
        """Pieces as they come, without a time limit; raises Unavailable when they break off."""
        target = _path("runs", prefix, "output") + "?follow=true"
        with closing(self._connect()) as connection:
            answer = self._send(connection, "GET", target, None, {})
            if answer.status != http.client.OK:
                raise _error_of(answer.status, self._read(answer), self._name)
            if connection.sock is not None:
                connection.sock.settimeout(None)
            yield from self._lines(answer)

    def _lines(self, answer: http.client.HTTPResponse) -> Iterator[Json]:
        ended = False
        while line := self._read_line(answer):
            if not line.strip():
                continue  # nothing new: the server looks whether we are still here
            document = _document(line, self._name)
            if "problem" in document:
                problem = document["problem"]
                raise _error_of(problem["status"], json.dumps(problem).encode(), self._name)
            ended = "run" in document
            yield document
        if not ended:
            raise Unavailable("the output broke off: cronherd went away", code="no_answer")

    def _read_line(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            return answer.readline(ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from None

    # The whole

    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json:
        query = {"count": count, "from": format_instant(from_us)}
        return self._ask("GET", _path("jobs", name, "next"), query)

    def timers(self, limit: int = 500) -> Json:
        return self._ask("GET", "/timers", {"limit": limit})

    def status(self) -> Json:
        return self._ask("GET", "/status")

    def list_nodes(self) -> Json:
        return self._ask("GET", "/nodes")

    def list_ledger(self, job: str | None = None, limit: int = 50) -> Json:
        return self._ask("GET", "/ledger", {"job": job, "limit": limit})

    def list_events(self, limit: int = 50) -> Json:
        return self._ask("GET", "/events", {"limit": limit})

    def health(self) -> Json:
        return self._ask("GET", "/health")

    # One request

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Sequence[object] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Ask once. `body` holds one document or none, for `null` is a document, too."""
        raw = _dump(body[0]) if body else None
        target = path + _query(query or {})
        with closing(self._connect()) as connection:
            answer = self._send(connection, method, target, raw, headers or {})
            content = self._read(answer)
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise _error_of(answer.status, content, self._name)
        return _document(content, self._name)

    def _connect(self) -> http.client.HTTPConnection:
        connection = self._connection(timeout=self._timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            reason = error.strerror or str(error)
            sentence = f"no cronherd answers at {self._name}: {reason}"
            absent = isinstance(error, ConnectionRefusedError | FileNotFoundError)
            raise Unavailable(sentence, code="no_answer", hint=_START if absent else "") from None
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        raw: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        told = {"Accept": "application/json", **self._headers, **headers}
        if raw is not None:
            told["Content-Type"] = "application/json"
        try:
            connection.request(method, self._base + target, raw, told)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from None
        except ValueError:  # a line break in a token would begin another header
            raise Invalid("the token has characters no token has", code="bad_token") from None

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            content = answer.read(ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from None
        if len(content) > ANSWER_BYTES:
            raise Unavailable("the answer is endless", code="no_answer")
        return content

    def _silence(self, error: Exception) -> Unavailable:
        if isinstance(error, TimeoutError):
            sentence = f"no answer from {self._name} within {self._timeout_s:g} s"
            hint = "it may still do what was asked: look before you ask again"
            return Unavailable(sentence, code="no_answer", hint=hint)
        sentence = f"cronherd at {self._name} broke off: {str(error) or type(error).__name__}"
        return Unavailable(sentence, code="no_answer", hint=_START)


# Ways to a server


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        connect_to(self.sock, self._path)


def connect_to(line: socket.socket, path: Path) -> None:
    """Connect to a Unix socket, through its open folder when the path is too long for one."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        line.connect(str(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        line.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _address(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path of a URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    plain = url.isascii() and url.isprintable() and " " not in url
    known = parts.scheme in {"http", "https"} and parts.username is None
    if not (known and host and port != 0 and plain):
        sentence = "this is not the address of a cronherd"
        raise Invalid(sentence, code="bad_url", hint="https://HOST:PORT")
    return parts.scheme, host, port, parts.path.rstrip("/")


# Words of a request and of an answer


def _path(noun: str, name: str, verb: str = "") -> str:
    if not name or "/" in name:  # no segment of a path, and no name of ours
        raise NotFound(f"there is no '{name[:80]}' among the {noun}")
    try:
        return f"/{noun}/{quote(name, safe='')}{verb and '/'}{verb}"
    except UnicodeEncodeError:
        raise Invalid(f"{name[:80]!a} is not UTF-8", code="bad_text") from None


def _query(query: Mapping[str, object]) -> str:
    given = [(key, value) for key, value in query.items() if value is not None]
    try:
        return f"?{urlencode(given)}" if given else ""
    except UnicodeEncodeError:
        raise Invalid("a name that was given is not UTF-8", code="bad_text") from None


def _dump(document: object) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"this cannot be sent as JSON: {error}"[:300], code="bad_json") from None


def _document(content: bytes, where: str) -> Json:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unavailable(f"what answers at {where} is not cronherd", code="no_answer")
    return document


# Errors, rebuilt

_KINDS: dict[int, type[CronherdError]] = dict.fromkeys((429, 502, 503, 504), Unavailable)
_KINDS |= {404: NotFound, 409: Conflict, 412: Conflict, 500: CronherdError}


def _error_of(status: int, content: bytes, where: str) -> CronherdError:
    document = _document(content, where)
    if not isinstance(document.get("code"), str):
        return Unavailable(f"what answers at {where} is not cronherd ({status})", code="no_answer")
    if document.get("errors"):
        return InvalidInput([_rebuilt(Invalid, fault) for fault in document["errors"]])
    unknown = Invalid if status < http.client.INTERNAL_SERVER_ERROR else CronherdError
    return _rebuilt(_KINDS.get(status, unknown), document)


def _rebuilt(kind: type[Kind], document: Json) -> Kind:
    text, code, hint, where = (
        str(document.get(key) or "") for key in ("detail", "code", "hint", "where")
    )
    return kind(text, code=code, hint=hint, where=where)
