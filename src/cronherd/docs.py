"""Writes docs/reference from the code itself: `python -m cronherd.docs`; --check only looks.

Tables come from what the program uses. What code cannot say of itself, such as what an exit code
means, is in docs/words.toml. The same code always gives the same bytes.
"""

import ast
import inspect
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from cronherd.api.app import build_app
from cronherd.api.describe import describe
from cronherd.api.hub import Served
from cronherd.cli.grammar import Command, Group
from cronherd.cli.main import root as top_command
from cronherd.codes import error_codes, sources
from cronherd.config.settings import config_schema, list_settings
from cronherd.definition.jobs import job_schema
from cronherd.domain.event import EVENT_WORDS, EventKind
from cronherd.domain.job import build_job
from cronherd.domain.policy import DEFAULTS
from cronherd.domain.run import (
    OUTCOME_WORDS,
    REASON_WORDS,
    STATE_WORDS,
    TRANSITIONS,
    Cause,
    Reason,
    RunState,
)
from cronherd.domain.standing import STANDING_WORDS
from cronherd.engine.accounts import Account
from cronherd.engine.order import start_of
from cronherd.sdk.wordpage import step_tables
from cronherd.store.base import Claim
from cronherd.views import API_VERSION

FOLDER = Path("docs/reference")
WORDS = Path("docs/words.toml")
NOTICE = "<!-- Made from the code by `python3 dev.py docs`; change the code or docs/words.toml. -->"
NOT_YET = "; nothing writes it yet"
BLOCK = "\b"  # click keeps the lines of a paragraph that begins with it

Rows = Iterable[Sequence[object]]
Words = Mapping[str, Mapping[str, str]]


def pages(words: Mapping[str, Any]) -> dict[str, str]:
    """Every generated file by its name in docs/reference. Raises LookupError for missing words."""
    parts = _parts(words)
    made = {}
    for name, page in words["pages"].items():
        text = page["text"].strip()
        for key, part in parts.items():
            text = text.replace(f"{{{{{key}}}}}", part)
        made[f"{name}.md"] = f"{NOTICE}\n\n# {page['title']}\n\n{text}\n"
    made["job.schema.json"] = _json(job_schema())
    made["config.schema.json"] = _json(config_schema())
    made["openapi.json"] = _json(openapi())
    return made


def _parts(words: Mapping[str, Any]) -> dict[str, str]:
    titles = {name: page["title"] for name, page in words["pages"].items() if name != "index"}
    job = job_schema()
    return {
        "links": "\n".join(f"- [{title}]({name}.md)" for name, title in titles.items()),
        **_command_parts(),
        "settings": _setting_table(),
        "job": _property_table(job),
        **{
            name: _property_table(_mapping_form(job["properties"][name]))
            for name in (
                *("retries", "retention", "limits", "hooks"),
                *("webhook", "ping", "lock", "gearman"),
            )
        },
        **step_tables(),
        "params": _property_table(
            _mapping_form(job["properties"]["params"]["additionalProperties"])
        ),
        "secrets": _property_table(_mapping_form(job["properties"]["secrets"]["items"])),
        "defaults": _default_table(),
        **_state_parts(words),
        "given": _word_table({name: words["given"][name] for name in given_variables()}),
        **{name: _word_table(words[name]) for name in ("read", "exit_codes")},
        "codes": _code_table(),
        "routes": _route_table(),
    }


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _code(value: object) -> str:
    return f"`{value}`" if str(value) else ""


def _word_table(words: Mapping[Any, str], silent: Iterable[object] = ()) -> str:
    """Words and what they mean; `silent` ones are prepared for later."""
    unsaid = set(silent)
    rows = [(_code(key), text + NOT_YET * (key in unsaid)) for key, text in words.items()]
    return _table(("word", "meaning"), rows)


# ------------------------------------------------------------------ settings and jobs


def _setting_table() -> str:
    rows = [(_code(row.name), _code(row.default), row.description) for row in list_settings()]
    return _table(("setting", "default", "meaning"), rows)


def _default_table() -> str:
    rows = [(_code(row.setting), row.value, row.why) for row in DEFAULTS]
    return _table(("setting", "default", "why"), rows)


def _mapping_form(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping among the forms that a setting may have."""
    return next(form for form in (schema, *schema.get("anyOf", ())) if "properties" in form)


def _property_table(schema: Mapping[str, Any]) -> str:
    rows = []
    for name, part in schema["properties"].items():
        default = "" if "default" not in part else _code(_spelled(part["default"]))
        needed = name in schema.get("required", ())
        rows.append(
            (_code(name), _type(part), "required" if needed else default, part["description"])
        )
    return _table(("setting", "type", "default", "meaning"), rows)


def _spelled(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _type(part: Mapping[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_type(form) for form in part["anyOf"]))
    if "enum" in part:
        return ", ".join(_code(value) for value in part["enum"])
    kinds = part["type"]
    words = kinds if isinstance(kinds, str) else " or ".join(kinds)
    if "minimum" in part and "maximum" in part:
        return f"{words}, {part['minimum']} to {part['maximum']}"
    return words.replace("object", "mapping").replace("array", "list").replace("string", "text")


# ------------------------------------------------------------------ states and events


def _state_parts(words: Words) -> dict[str, str]:
    causes = {cause: words["causes"][cause] for cause in Cause}
    return {
        "states": _word_table(STATE_WORDS),
        "standings": _word_table(STANDING_WORDS),
        "transitions": _transition_table(),
        "diagram": _diagram(),
        "outcomes": _word_table(OUTCOME_WORDS),
        "causes": _word_table(causes, unused(Cause)),
        "reasons": _word_table(REASON_WORDS, unused(Reason)),
        "events": _word_table(EVENT_WORDS, unused(EventKind)),
        "killed_by": _word_table(words["killed_by"]),
        "attempt_errors": _word_table(words["attempt_errors"]),
    }


def _next_states(state: RunState) -> list[RunState]:
    return [new for new in RunState if new in TRANSITIONS[state]]


def _transition_table() -> str:
    rows = [
        (_code(state), ", ".join(map(_code, _next_states(state))) or "nothing: it is final")
        for state in RunState
    ]
    return _table(("from", "to"), rows)


def _diagram() -> str:
    arrows = [f"    {state} --> {new}" for state in RunState for new in _next_states(state)]
    begins = ["    [*] --> waiting", "    [*] --> ready"]
    return "\n".join(["stateDiagram-v2", *begins, *arrows, "    finished --> [*]"])


def unused(words: type[StrEnum]) -> set[object]:
    """Members that only their own table names: prepared, and written by nothing yet."""
    named = {
        node.attr
        for path, nodes in sources()
        if path not in {"domain/run.py", "domain/event.py"}
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == words.__name__
    }
    return {member for name, member in words.__members__.items() if name not in named}


# ------------------------------------------------------------------ commands


def commands(command: Any = top_command, path: str = "cronherd") -> Iterator[tuple[str, Any, Any]]:
    """Each command as (path, command, context), a group before what is below it."""
    context = command.make_context(path, [], resilient_parsing=True)
    yield path, command, context
    if isinstance(command, Group):
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), f"{path} {name}")


def _command_parts() -> dict[str, str]:
    (_, _, top), *below = commands()
    everywhere = [p for p in Command("x").get_params(top) if p.name != "help"]
    return {
        "everywhere": _option_table(everywhere, top),
        "commands": "\n\n".join(_command(*each) for each in below),
    }


def _command(path: str, command: Any, context: Any) -> str:
    named = [p for p in command.params if p.param_type_name == "option"]
    parts = [f"## {_code(path)}", _help(command.help or "")]
    if isinstance(command, Group):
        also = [f"{_code(short)} for {_code(name)}" for short, name in command.aliases.items()]
        below = ", ".join(map(_code, command.list_commands(context)))
        parts.append(f"Below it: {below}." + (f" Also {', '.join(also)}." if also else ""))
    else:
        given = [p.make_metavar(context) for p in command.params if p not in named]
        parts.append(f"```text\n{' '.join([path, *['[OPTIONS]'] * bool(named), *given])}\n```")
    if named:
        parts.append(_option_table(named, context))
    return "\n\n".join(parts)


def _option_table(options: Iterable[Any], context: Any) -> str:
    records = [option.get_help_record(context) for option in options]
    return _table(("option", "meaning"), [(_code(r[0]), r[1]) for r in records if r])


def _help(text: str) -> str:
    """Paragraphs; examples as blocks."""
    return "\n\n".join(
        f"```sh\n{inspect.cleandoc(part.replace(BLOCK, ''))}\n```" if BLOCK in part else part
        for part in inspect.cleandoc(text).split("\n\n")
    )


# ------------------------------------------------------------------ environment and API


def given_variables() -> list[str]:
    """What the environment of a command is made of."""
    order = Claim(
        run_id="",
        job_id="",
        job=build_job({"name": "x", "command": "true"}),
        version=1,
        attempt=1,
        token="",
        fence=0,
        cause=Cause.SCHEDULE,
        slot_us=0,
        started_us=None,
    )
    return list(start_of(order, "", Account(user="", home=""), 0).env)


def openapi() -> dict[str, Any]:
    """The document the API serves, with the version of the API in place of the program's."""
    document = describe(build_app(cast("Served", None), who=cast("Any", None)))
    document["info"]["version"] = API_VERSION
    return document


def _route_table() -> str:
    rows = [
        (_code(f"{verb.upper()} {path}"), _code(route["operationId"]), route["summary"])
        for path, verbs in openapi()["paths"].items()
        for verb, route in verbs.items()
    ]
    return _table(("request", "name", "what it does"), rows)


def _code_table() -> str:
    rows = [(_code(c), ", ".join(map(_code, sorted(p)))) for c, p in error_codes().items()]
    return _table(("code", "raised in"), rows)


# ------------------------------------------------------------------ writing


def read_words(root: Path = Path()) -> dict[str, Any]:
    """What docs/words.toml of a checkout says."""
    return tomllib.loads((root / WORDS).read_text("utf-8"))


def differing(folder: Path, made: Mapping[str, str]) -> list[str]:
    """Files that are missing, old, or made by nobody any more."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    old = {
        name
        for name, text in made.items()
        if name not in there or (folder / name).read_text("utf-8") != text
    }
    return sorted(old | there - set(made))


def write(folder: Path, made: Mapping[str, str]) -> None:
    """Make the folder what the code says."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in differing(folder, made):
        if name in made:
            (folder / name).write_text(made[name], "utf-8")
        else:
            (folder / name).unlink()


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m cronherd.docs [--check]\n")
        return 2
    made = pages(read_words())
    if not arguments:
        write(FOLDER, made)
        return 0
    old = differing(FOLDER, made)
    for name in old:
        sys.stdout.write(f"{FOLDER / name} is not what the code says: run python3 dev.py docs\n")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
