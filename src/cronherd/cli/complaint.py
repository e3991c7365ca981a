"""How errors are said: `cronherd: sentence`, the hint on the next line, or the same as JSON."""

import json

import click

from cronherd.domain.errors import CronherdError, InvalidInput

MOST = 20  # faults shown at once; the rest is counted


def complain(error: Exception, *, as_json: bool) -> None:
    """Say it on stderr, in one sentence per fault."""
    if isinstance(error, click.UsageError) and error.message.startswith("Usage: "):
        if not as_json:
            click.echo(error.message, err=True)  # a group without a command: its help
            return
        error = click.UsageError("a command is missing", error.ctx)
    faults = error.errors if isinstance(error, InvalidInput) else [error]
    if as_json:
        click.echo(json.dumps(_document(error, list(faults))), err=True)
        return
    for fault in faults[:MOST]:
        sentence, hint = _words(fault)
        click.echo(f"cronherd: {printable(sentence)}", err=True)
        if hint:
            click.echo(f"  {printable(hint)}", err=True)
    if len(faults) > MOST:
        click.echo(f"cronherd: and {len(faults) - MOST} more", err=True)


def printable(text: str) -> str:
    """The text on one line, control characters as escapes: it may come from anywhere."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _document(error: Exception, faults: list[Exception]) -> dict[str, object]:
    sentence, hint = _words(faults[0])
    document: dict[str, object] = {"code": _code(error), "detail": sentence, "hint": hint}
    if isinstance(error, InvalidInput):
        document["errors"] = [
            {"code": _code(fault), "detail": fault.text, "hint": fault.hint, "where": fault.where}
            for fault in error.errors
        ]
    return {"error": document}


def _words(error: Exception) -> tuple[str, str]:
    if isinstance(error, CronherdError):
        return (f"{error.where}: {error.text}" if error.where else error.text), error.hint
    if isinstance(error, click.UsageError):
        sentence, _, hint = _plain(error).partition("\n")
        return sentence, hint or _next_step(error)
    if isinstance(error, click.ClickException):
        return error.format_message().rstrip("."), ""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"{error.filename}: {reason}" if error.filename else reason, ""
    return (
        f"something unexpected happened: {type(error).__name__}: {error}",
        "with CRONHERD_DEBUG=1 it shows where",
    )


def _next_step(error: click.UsageError) -> str:
    """What to try, by the kind of slip."""
    path = error.ctx.command_path if error.ctx else "cronherd"
    look = f"try '{path} --help'"
    if isinstance(error, click.MissingParameter) and error.ctx:
        usage = " ".join(error.ctx.get_usage().split())
        return f"write: {usage.removeprefix('Usage: ')}"
    if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
        return f"what begins with - and is no option stands behind --, or {look}"
    if error.message.startswith("Got unexpected extra argument"):
        return f"put text with blanks in quotes, or {look}"
    return look


def _plain(error: click.UsageError) -> str:
    """Click's sentences in our style: no capital at the start, no full stop at the end."""
    sentence, newline, hint = error.format_message().partition("\n")
    if isinstance(error, click.MissingParameter):  # its choices stand in the usage, the next step
        sentence, newline, hint = sentence.partition(". Choose from")[0], "", ""
    sentence = sentence.replace(" (Did you mean one of: ", " Did you mean ").replace("?)", "?")
    if not hint and " Did you mean " in sentence:
        sentence, _, rest = sentence.partition(" Did you mean ")
        newline, hint = "\n", f"did you mean {rest}"
    elif not hint and " (Possible options: " in sentence:
        sentence, _, rest = sentence.partition(" (Possible options: ")
        newline, hint = "\n", f"possible: {rest.rstrip(')')}"
    sentence = sentence.rstrip(".").strip()
    return f"{sentence[:1].lower()}{sentence[1:]}{newline}{hint}"


def _code(error: Exception) -> str:
    if isinstance(error, CronherdError):
        return error.code
    return "usage" if isinstance(error, click.UsageError) else "failed"
