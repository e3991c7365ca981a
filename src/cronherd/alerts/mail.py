"""Mail: one message to one receiver, handed to the relay that the node's settings name."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as FORMAT
from email.utils import format_datetime

from cronherd.alerts.base import Message, SendFailed
from cronherd.alerts.letter import body_of, subject_of
from cronherd.alerts.net import bounded, connect
from cronherd.domain.alert import ChannelName
from cronherd.domain.instant import load_zone, to_datetime

NO_TLS, AUTO, STARTTLS, TLS = "none", "auto", "starttls", "tls"
TLS_MODES = (AUTO, STARTTLS, TLS, NO_TLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Who takes our mail. `password` reads it anew for each connection.

    `tls`: auto (where the relay offers it, whoever it is), starttls and tls (or nothing is sent,
    and the certificate must be the host's), none.
    """

    host: str
    port: int
    sender: str
    tls: str = AUTO
    user: str = ""
    password: Callable[[], str] = field(default=lambda: "", repr=False)
    domain: str = ""
    own_name: str = "localhost"
    timeout_s: float = 10.0


class MailChannel:
    """Implements Channel."""

    name = ChannelName.MAIL

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def send(self, message: Message) -> None:
        letter = self.letter(message)
        with_relay = _Session(self._relay)
        with_relay.hand_over(self._full(message.target), letter)

    def ask(self) -> str:
        """What the relay says when it is called, up to where mail would follow. For doctor."""
        return _Session(self._relay).ask()

    def letter(self, message: Message) -> EmailMessage:
        """The mail as it leaves; the same message gives the same one."""
        relay, first = self._relay, message.parts[0]
        zone = load_zone("UTC")
        letter = EmailMessage(policy=FORMAT)
        letter["From"] = relay.sender
        to = first.payload.get("to") if len(message.parts) == 1 else None
        letter["To"] = ", ".join(self._full(address) for address in to or [message.target])
        letter["Subject"] = subject_of(message.parts)
        letter["Date"] = format_datetime(to_datetime(first.created_us // 10**6 * 10**6, zone))
        letter["Message-ID"] = f"<{message.id}@{_domain_of(relay.sender)}>"
        letter["Auto-Submitted"] = "auto-generated"
        if len(message.parts) == 1 and first.payload.get("run_id"):
            letter["X-Cronherd-Run"] = str(first.payload["run_id"])
        letter.set_content(body_of(message.parts), charset="utf-8", cte="quoted-printable")
        return letter

    def _full(self, address: str) -> str:
        """A local name such as root gets the settings' domain; without one the relay knows it."""
        return (
            f"{address}@{self._relay.domain}"
            if self._relay.domain and "@" not in address
            else address
        )


def _domain_of(sender: str) -> str:
    return sender.rpartition("@")[2].strip("<> ") or "localhost"


class _Session:
    """One connection to the relay, bounded in time."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def hand_over(self, address: str, letter: EmailMessage) -> None:
        relay = self._relay
        try:
            with self._greeted() as smtp:
                smtp.send_message(letter, _bare(relay.sender), [address])
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            raise SendFailed(f"the relay refused {address}: {code} {_said(words)}") from None
        except smtplib.SMTPResponseException as error:
            text = f"the relay refused it: {error.smtp_code} {_said(error.smtp_error)[:200]}"
            closed = isinstance(error, _CLOSED) or error.smtp_code in _NOBODY
            raise SendFailed(text, everybody=closed) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            text = f"the relay {relay.host} port {relay.port} failed: {error}"
            raise SendFailed(text, everybody=not isinstance(error, ValueError)) from None

    def ask(self) -> str:
        relay = self._relay
        try:
            with self._greeted():
                pass
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise SendFailed(f"the relay {relay.host} port {relay.port}: {error}") from None
        return f"{relay.host} port {relay.port} answers"

    @contextmanager
    def _greeted(self) -> Iterator[smtplib.SMTP]:
        """Encrypted as the settings say, known by name where they give one; left in good order."""
        relay = self._relay
        smtp = _Known(relay)
        made = connect(relay.host, relay.port, relay.timeout_s, None)
        try:
            with bounded(made, 3 * relay.timeout_s):
                if relay.tls == TLS:
                    made = _checked().wrap_socket(made, server_hostname=relay.host)
                smtp.greet(made)
                smtp.ehlo_or_helo_if_needed()
                if relay.tls == STARTTLS or (relay.tls == AUTO and smtp.has_extn("starttls")):
                    smtp.starttls(context=_checked() if relay.tls == STARTTLS else _unchecked())
                    smtp.ehlo_or_helo_if_needed()
                if relay.user:
                    smtp.login(relay.user, relay.password())
                yield smtp
                _leave(smtp)
        finally:
            smtp.close()
            made.close()


# It is no mail server at all, or one that is about to end.
_NOBODY = frozenset({-1, 421})
_CLOSED = (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError)


class _Known(smtplib.SMTP):
    """smtplib over a connection that is there already."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(local_hostname=relay.own_name, timeout=relay.timeout_s)
        self._relay = relay
        self._host = relay.host  # starttls names it to the other side
        self._made: socket.socket | None = None

    def greet(self, made: socket.socket) -> None:
        """Hear what the other side says first."""
        self._made = made
        code, words = self.connect(self._relay.host, self._relay.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, words)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        assert self._made is not None
        return self._made


def _leave(smtp: smtplib.SMTP) -> None:
    """It has the mail; whether it answers our good-bye changes nothing."""
    try:
        smtp.quit()
    except (OSError, smtplib.SMTPException):
        smtp.close()


def _bare(sender: str) -> str:
    """The address without a name before it."""
    return sender.rpartition("<")[2].rstrip("> ")


def _said(words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(text.split())


def _checked() -> ssl.SSLContext:
    return ssl.create_default_context()


def _unchecked() -> ssl.SSLContext:
    """Against whoever only listens: a relay that is asked for no more may be anybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
