"""One request after the other to a running cronherd."""

import http.client
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self

from cronherd.client.fleet import Json
from cronherd.client.line import SocketConnection, address_of
from cronherd.client.messages import document_of, dumped, error_of, query_of
from cronherd.domain.errors import Invalid, Unavailable

TIMEOUT_S = 30.0
ANSWER_BYTES = 256 << 20  # 1,000 jobs of 64 KiB, each byte escaped; more is not an answer of ours
_PREFIX = "/api/v1"
_START = "start it with 'cronherd up'"


class Asking:
    """Asks and reads; one connection per request: usable by many threads, and none is stale."""

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
    def over_socket(cls, path: Path, timeout_s: float = TIMEOUT_S) -> Self:
        """By the Unix socket of a cronherd on this host."""
        return cls(partial(SocketConnection, path), str(path), timeout_s=timeout_s)

    @classmethod
    def over_url(cls, url: str, token: str | None, timeout_s: float = TIMEOUT_S) -> Self:
        """By `http://` or `https://`, whose certificate is verified. Raises Invalid."""
        scheme, host, port, base = address_of(url)
        secure = scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        way = partial(kind, host, port)
        return cls(way, url.rstrip("/"), base=base, token=token, timeout_s=timeout_s)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Sequence[object] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Ask once. `body` holds one document or none, for `null` is a document, too."""
        raw = dumped(body[0]) if body else None
        target = path + query_of(query or {})
        with closing(self._connect()) as connection:
            answer = self._send(connection, method, target, raw, headers or {})
            content = self._read(answer)
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise error_of(answer.status, content, self._name)
        return document_of(content, self._name)

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
