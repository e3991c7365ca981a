"""Settings of a job given on the command line: `timeout=1h`, `retries.max=3`, `env.PATH=/bin`."""

import json

import click

from cronherd.domain.errors import Invalid

# What is text whatever it looks like: an `env` of 1.10 is not 1.1.
_TEXTS = frozenset(
    {"name", "description", "command", "schedule", "timezone", "window", "shell", "cwd", "stdin"}
    | {"user", "group", "mailto", "env", "run_on", "prefer", "task", "env_file", "output_file"}
)

Definition = dict[str, object]


def put_settings(definition: Definition, settings: tuple[str, ...]) -> None:
    """Write each `key=value` into the definition; an empty value takes the setting out."""
    for text in settings:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.UsageError(
                f"'{text[:60]}' is not a setting\nwrite --set KEY=VALUE, as in --set timeout=1h"
            )
        _put(definition, key.split("."), value)


def as_written(definition: Definition) -> Definition:
    """A definition as it may be sent: where text is meant, `1.10` stays what was written."""
    return {key: _texts(value) if key in _TEXTS else value for key, value in definition.items()}


def _texts(value: object) -> object:
    if isinstance(value, dict):
        return {key: _texts(part) for key, part in value.items()}
    return getattr(value, "spelling", value)


def _put(definition: Definition, path: list[str], value: str) -> None:
    block = definition
    for key in path[:-1]:
        below = block.get(key)
        if key == "retries" and isinstance(below, int):
            below = {"max": below}  # its short form
        block[key] = block = dict(below) if isinstance(below, dict) else {}
    if value == "":
        block.pop(path[-1], None)
    else:
        block[path[-1]] = _value(path[0], value)


def _value(key: str, text: str) -> object:
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            pass  # `[ -f x ] && …` is a command, not a list
    if key in _TEXTS:
        return text
    from cronherd.definition.document import resolve_scalar  # noqa: PLC0415 - it imports yaml

    try:
        return resolve_scalar(text)
    except Invalid as error:
        raise Invalid(error.text, code=error.code, hint=error.hint, where=key) from None
