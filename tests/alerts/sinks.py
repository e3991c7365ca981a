"""Real servers on loopback that keep what they are told: one for mail, one for HTTP."""

import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(kw_only=True)
class Mail:
    """One mail as the relay took it."""

    sender: str
    receivers: list[str]
    raw: bytes

    @property
    def letter(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=modern)

    @property
    def text(self) -> str:
        return str(self.letter.get_content()).replace("\r\n", "\n")


@dataclass(kw_only=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class MailSink(socketserver.ThreadingTCPServer):
    """An SMTP server; `answer` says for a receiver what it says, None: 250."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Talk)
        self.mails: list[Mail] = []
        self.answer: Callable[[str], str | None] = lambda receiver: None
        self.context: ssl.SSLContext | None = None
        self.from_the_start = False
        self.logins: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Talk(socketserver.StreamRequestHandler):
    """RFC 5321, as far as a client that only sends needs it."""

    server: MailSink
    _secure = False

    def handle(self) -> None:
        if self.server.from_the_start:
            self._encrypt()
        self._sender: str = ""
        self._receivers: list[str] = []
        self._say("220 sink.example ready")
        while line := self.rfile.readline(4_096):
            verb, _, rest = line.decode("ascii").strip().partition(" ")
            if not self._obey(verb.upper(), rest):
                return

    def _obey(self, verb: str, rest: str) -> bool:
        if verb == "EHLO":
            more = "STARTTLS" if self.server.context and not self._secure else "AUTH PLAIN"
            self._say(f"250-sink.example\r\n250-{more}\r\n250 SIZE 10000000")
        elif verb == "STARTTLS":
            self._say("220 go on")
            self._encrypt()
        elif verb == "AUTH":
            self.server.logins.append(rest)
            self._say("235 welcome")
        elif verb == "MAIL":
            self._sender, self._receivers = _address(rest), []
            self._say("250 ok")
        elif verb == "RCPT":
            refused = self.server.answer(_address(rest))
            if refused is None:
                self._receivers.append(_address(rest))
            self._say(refused or "250 ok")
        elif verb == "DATA":
            self._say("354 go on")
            self._take()
            self._say("250 taken")
        elif verb == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 ok")
        return True

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self._secure = True
        self.setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def _take(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.mails.append(
            Mail(sender=self._sender, receivers=self._receivers, raw=b"".join(lines))
        )

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


@dataclass
class Answer:
    """What the HTTP sink says."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpSink:
    """An HTTP server that keeps every request; `answers` are given in turn, the last for ever."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.answers: list[Answer] = [Answer()]
        sink = self

        class Talk(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                """Quietly."""

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sink.calls.append(
                    Call(
                        method=self.command,
                        path=self.path,
                        headers=dict(self.headers.items()),
                        body=body,
                    )
                )
                answer = sink.answers.pop(0) if len(sink.answers) > 1 else sink.answers[0]
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = _take  # noqa: N815 - as http.server calls them
            do_POST = _take  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Talk)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def paths(self) -> list[str]:
        return [call.path for call in self.calls]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, ssl.SSLContext]:
    """A certificate for this host name that nobody knows, and a server that shows it."""
    file = folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", str(folder / "key.pem"), "-out", str(file)],
        check=True,
        capture_output=True,
        timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, folder / "key.pem")
    return file, context


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
