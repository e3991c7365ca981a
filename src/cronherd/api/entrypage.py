"""The plainest pages that let somebody in; whoever has better ones hands them to `build_app`."""

from html import escape
from typing import Protocol

from cronherd.domain.account import PASSWORD_LEAST
from cronherd.domain.errors import CronherdError


class EntryPages(Protocol):
    """The pages before a session, as whole documents of HTML."""

    def login(self, *, goal: str, name: str, error: CronherdError | None, first: bool) -> str:
        """POST /login with name, password and next; `first`: nobody can log in yet."""
        ...

    def welcome(
        self, *, key: str, account: str | None, name: str, error: CronherdError | None
    ) -> str:
        """POST /welcome/{key} with name, password and again; `account`: the name is settled."""
        ...

    def refused(self, *, error: CronherdError) -> str:
        """A link that opens nothing, and what to do."""
        ...


class PlainPages:
    """Without style, script or picture."""

    def login(self, *, goal: str, name: str, error: CronherdError | None, first: bool) -> str:
        hint = (
            "<p>Nobody can log in yet. <code>cronherd up</code> printed a link for the first "
            "login; <code>cronherd login --link</code> on that host prints a new one.</p>"
        )
        return _document(
            "Log in",
            f"{_said(error)}{hint if first else ''}"
            '<form method="post" action="/login">'
            f'<input type="hidden" name="next" value="{escape(goal)}">'
            f"<p>{_text('name', 'Name', name, 'username')}</p>"
            f"<p>{_password('password', 'Password', 'current-password')}</p>"
            "<p><button>Log in</button></p></form>",
        )

    def welcome(
        self, *, key: str, account: str | None, name: str, error: CronherdError | None
    ) -> str:
        who = f"<p>Your name is <strong>{escape(account or '')}</strong>.</p>"
        asked = f"<p>{_text('name', 'Your name', name, 'username')}</p>"
        return _document(
            "Welcome to cronherd",
            f"{_said(error)}"
            f'<form method="post" action="/welcome/{escape(key)}">{who if account else asked}'
            f"<p>{_password('password', 'Password', 'new-password')} "
            f"At least {PASSWORD_LEAST} characters.</p>"
            f"<p>{_password('again', 'Once more', 'new-password')}</p>"
            "<p><button>Set the password</button></p></form>",
        )

    def refused(self, *, error: CronherdError) -> str:
        return _document("This link opens nothing", _said(error))


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · cronherd</title></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )


def _said(error: CronherdError | None) -> str:
    if error is None:
        return ""
    hint = f" {error.hint[:1].upper()}{error.hint[1:]}." if error.hint else ""
    text = f"{error.text[:1].upper()}{error.text[1:]}.{hint}"
    return f'<p role="alert">{escape(text)}</p>'


def _text(name: str, label: str, value: str, fill: str) -> str:
    return (
        f"<label>{escape(label)} "
        f'<input name="{name}" value="{escape(value)}" autocomplete="{fill}" required></label>'
    )


def _password(name: str, label: str, fill: str) -> str:
    return (
        f"<label>{escape(label)} "
        f'<input type="password" name="{name}" autocomplete="{fill}" required></label>'
    )
