"""Hostile strings through every field of a job and every operation of the API.

Each is refused with a sentence or comes back exactly as it was given; and then it does nothing in
pages, on the command line, in metrics, JSON and server-sent events. The fields are those of the
schema and of the OpenAPI document, so a new one is covered by itself.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cronherd.definition.jobs import job_schema, read_job
from cronherd.docs import openapi
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError
from tests.access.conftest import Yard, sites
from tests.access.harmless import Full, is_ours, output_of
from tests.access.hostile import STRINGS, spots, texts_of
from tests.pages.conftest import checked

pytestmark = pytest.mark.timeout(900)  # the long form; the short one takes seconds
SCHEMA = job_schema()["properties"]
# What is kept in its canonical spelling: a server with its port, a pool in lower case.
CANONICAL = {"gearman", "pools"}
# They end what the others need, or never end by themselves.
LEFT_OUT = {"stream", "start_maintenance", "logout", "delete_job", "remove_account"}
PAGES = (
    "/", "/jobs", "/runs", "/timeline", "/nodes", "/palette?q=a", "/settings/audit",
    "/settings/people", "/settings/tokens", "/settings/alerts", "/settings/health",
)  # fmt: skip
FORMS = (
    "/jobs/new", "/jobs/nightly", "/jobs/nightly/edit", "/jobs/nightly/edit?as=text",
    "/jobs/nightly/run",
    "/settings", "/settings/secrets",
)  # fmt: skip
LONG = "9" * 5_000
# What the others need would be gone; and of the rows of a list one is enough.
LET_BE = re.compile(
    "logout|delete|remove|revoke|disable|maintenance|sessions|/jobs/(?!new|nightly)"
)
COMMANDS = (
    "status", "job list", "job list -o wide", "run list", "timers", "audit", "pool list",
    "locks list", "user list", "token list", "alerts list", "node list", "export yaml",
    "export crontab", "job list -o json", "job list -o yaml", "job list -o name",
)  # fmt: skip


@pytest.fixture(scope="module")
def full(
    yard: Yard, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Full]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with sites(yard, folder) as make:
        site = make()
        made = Full(site=site, token=site.token("t", Role.ADMIN))
        site.service.create_job({"name": "nightly", "command": "true"}, "root")
        for text in texts(request):
            _fill(made, text)
        yield made


def texts(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The short form leaves out what is much like another."""
    if request.config.getoption("--tier") == "full":
        return STRINGS
    return STRINGS[:20:2] + STRINGS[20::5]


def _fill(full: Full, text: str) -> None:
    """Jobs that have this text wherever it is let in, as few as can be."""
    single = [(key, value) for key in SCHEMA for value in spots(SCHEMA[key], text)]
    good = [pair for pair in single if _made(full, text, [pair], keep=False)]
    full.refused += len(single) - len(good)
    while good:
        layer: dict[str, object] = {}
        for key, value in good:
            layer.setdefault(key, value)
        chosen = list(layer.items())
        if not _made(full, text, chosen):
            chosen = chosen[:1]  # what does not go together
            _made(full, text, chosen)
        good = [pair for pair in good if not any(pair[1] is value for _, value in chosen)]


def _made(full: Full, text: str, pairs: list[tuple[str, object]], *, keep: bool = True) -> bool:
    """Save such a job, or only look whether it could be. Whoever raises anything else fails."""
    body: dict[str, object] = {"name": f"j{len(full.told)}", **dict(pairs)}
    if not {"command", "task", "gearman"} & body.keys():
        body["command"] = "true"
    try:
        if not keep:
            read_job(body, timezone="UTC")
            return True
        job = full.site.service.create_job(body, "root")
    except CronherdError:
        return False
    full.told[job["id"]] = [(key, text) for key, _ in pairs]
    return True


# ------------------------------------------------------------------ what comes back


def test_what_is_let_in_comes_back_as_it_was_given(full: Full):
    assert len(full.told) > 50
    assert full.refused > 1_000
    wrong = []
    for job, told in full.told.items():
        status, _, content = full.ask("GET", f"/api/v1/jobs/{job}")
        assert status == 200, content[:300]
        document = json.loads(content)["definition"]
        for key, text in told:
            if text and key not in CANONICAL and text not in set(texts_of({key: document[key]})):
                wrong.append((key, text[:60], document[key]))
    assert wrong == []


# ------------------------------------------------------------------ where it is looked at


def test_no_page_has_an_element_a_script_or_a_link_that_is_not_ours(full: Full):
    seen = 0
    for job in full.told:
        for page in ("", "/edit", "/run")[: 3 if len(full.told) > 150 else 2]:
            seen += is_ours(full, f"/jobs/{job}{page}")
    for page in PAGES:
        seen += is_ours(full, page)
    assert seen > 100


def test_metrics_are_read_by_a_parser_and_name_nothing_of_others(full: Full):
    status, _, content = full.ask("GET", "/metrics")
    assert status == 200
    families = list(text_string_to_metric_families(content.decode()))
    assert len(families) > 5
    assert all(one.name.startswith("cronherd_") for one in families)
    assert "cronherd_evil" not in {sample.name for one in families for sample in one.samples}


def test_no_command_sends_a_terminal_what_it_obeys(
    full: Full,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
):
    for command in COMMANDS:
        out = output_of(full, command.split(), tmp_path, capfdbinary, monkeypatch)
        if "json" in command:
            assert len(json.loads(out)["items"]) > 50
    for job in full.told:
        for form in ((), ("-o", "yaml")):
            output_of(full, ["job", "show", job, *form], tmp_path, capfdbinary, monkeypatch)


# ------------------------------------------------------------------ every operation


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in openapi()["paths"].items():
        for method, told in methods.items():
            if told["operationId"] not in LEFT_OUT:
                yield method.upper(), path, told


def requests(path: str, told: dict[str, Any], text: str) -> Iterator[tuple[str, object]]:
    """Addresses and bodies that have the text at one place each."""
    named = {one["name"]: one for one in told.get("parameters", ())}
    plain = path.replace("{name}", "nightly").replace("{run}", "f" * 32)
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = content.get("example")
    for name in [name for name, one in named.items() if one["in"] == "path"]:
        yield path.replace(f"{{{name}}}", _quoted(text) or "%20"), body
    for name in [name for name, one in named.items() if one["in"] == "query"]:
        yield f"{plain}?{name}={_quoted(text)}", body
    for value in spots(content.get("schema", {"type": "null"}), text):
        yield plain, {**(body or {}), **value} if isinstance(value, dict) else value


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass")[:4_000], safe="")


def test_no_operation_fails_for_what_it_is_given(full: Full, request: pytest.FixtureRequest):
    step = 1 if request.config.getoption("--tier") == "full" else 12
    seen, faults = 0, []
    for number, (method, path, told) in enumerate(operations()):
        for text in STRINGS[number % step :: step]:
            for target, body in requests(path, told, text):
                status, kind, content = full.ask(method, target, body)
                seen += 1
                problem = "problem+json" in kind
                ok = status < 500 or b'"no_sealing"' in content
                ok = ok and (status < 400 or problem)
                # An answer of JSON is one, and no browser takes it for something else.
                if "json" in kind:
                    json.loads(content)
                ok = ok and "html" not in kind
                if not ok:
                    faults.append((method, target[:200], status, content[:200]))
    assert faults == []
    assert seen > 300


# ------------------------------------------------------------------ every form


def forms(full: Full, page: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The forms of a page that send something: where to, and the fields that a person fills in."""
    found = checked(full.ask("GET", page)[2].decode())
    action = ""
    fields: dict[str, str] = {}
    for tag, given in [*found.tags, ("form", {})]:
        if tag == "form":
            if action and fields:
                yield action, fields
            action = given.get("action", page) if given.get("method") == "post" else ""
            fields = {}
        elif tag in {"input", "textarea", "select", "button"} and given.get("name"):
            fields[given["name"]] = given.get("value", "")


def test_no_form_fails_for_what_is_written_into_it(full: Full, request: pytest.FixtureRequest):
    step = 1 if request.config.getoption("--tier") == "full" else len(STRINGS)
    found = {
        (action, *fields): fields
        for page in (*FORMS, *PAGES)
        for action, fields in forms(full, page)
        if not LET_BE.search(action)
    }
    faults, seen = [], 0
    for (action, *_), fields in found.items():
        for number, name in enumerate(fields):
            for text in {STRINGS[number % len(STRINGS)], *STRINGS[number % step :: step], LONG}:
                status = full.fill_in(action, {**fields, name: text[:5_000]})
                seen += 1
                if status >= 500:
                    faults.append((action, name, text[:60], status))
    assert faults == []
    assert len(found) > 10
    assert seen > 100
