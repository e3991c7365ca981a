"""Documentation as a test: what exists is written down, what is written down exists.

A check is a function from texts to sentences. Each has a test that runs it over the project and a
self-test with something bad, because a check that cannot fail is a defect.
"""

import ast
import importlib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import click
import pytest

from cronherd import codes, docs
from cronherd.api.app import build_app
from cronherd.cli.main import root
from cronherd.cli.session import Session
from cronherd.config.settings import SECTIONS, Settings
from cronherd.definition.document import load_document
from cronherd.definition.jobs import JobDefinition, read_jobs
from cronherd.definition.retries import RetentionDefinition, RetriesDefinition
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import Invalid
from cronherd.domain.event import EventKind
from cronherd.domain.judge import _KILLED
from cronherd.domain.policy import DEFAULTS
from cronherd.domain.run import Cause, Outcome, Reason, RunState
from tests.api.always import Always

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "cronherd"
FOLDER = ROOT / "docs" / "reference"
WRITTEN = tuple(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md"))
NOT_A_JOB = "<!-- not a job"


@cache
def pages() -> dict[str, str]:
    """Every page by its path below the checkout."""
    found = [*WRITTEN, *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in found}


def reference(name: str) -> str:
    return pages()[f"docs/reference/{name}.md"]


@cache
def made() -> dict[str, str]:
    return docs.pages(docs.read_words(ROOT))


# ------------------------------------------------------------------ what exists is documented


def undocumented(words: Iterable[object], text: str) -> list[str]:
    """Words that do not stand in the text as code."""
    return [str(word) for word in words if f"`{word}`" not in text]


def settings() -> list[str]:
    plain = [name for name in Settings.model_fields if name not in SECTIONS]
    inner = [f"{name}.{key}" for name, part in SECTIONS.items() for key in part.model_fields]
    return plain + inner


def job_settings() -> list[str]:
    kinds = (JobDefinition, RetriesDefinition, RetentionDefinition)
    return [name for kind in kinds for name in kind.model_fields]


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command of the tree by its path, walked apart from docs.py."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from leaves(below, f"{path} {name}")


def commands() -> list[str]:
    return [path for path, _ in leaves(root, "cronherd") if path != "cronherd"]


def undocumented_options(tree: click.Command, text: str) -> list[str]:
    """Options that do not stand below the heading of their command."""
    parts = re.split(r"(?m)^## `", text)
    sections = {part.partition("`")[0]: part for part in parts[1:]}
    return [
        f"{path} {name}"
        for path, command in leaves(tree, "cronherd")
        for option in command.params
        if isinstance(option, click.Option) and path != "cronherd"
        for name in option.opts
        if not re.search(rf"[`\s]{re.escape(name)}[`,\s]", sections.get(path, ""))
    ]


def routes() -> list[str]:
    app = build_app(None, who=Always(LOCAL))  # type: ignore[arg-type]
    paths: dict[str, dict[str, object]] = app.openapi()["paths"]
    return [f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs]


def sources(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def error_codes() -> set[str]:
    """Literal codes, found apart from docs.py: any `code="…"` of a call or a default."""
    found = {
        word
        for path in SRC.rglob("*.py")
        for word in re.findall(
            r'\b(?:default_)?code(?:: str)? ?= ?"(\w+)"', path.read_text("utf-8")
        )
    }
    assert len(found) > 50
    return found


def exit_codes(folder: Path = SRC / "cli") -> set[int]:
    """What functions of the command line return as `int`, and what its errors carry."""
    found: set[int] = set()
    for path, tree in sources(folder):
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and _is_int(function.returns):
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        found |= set(_numbers(node.value, path))
            if isinstance(function, ast.Assign) and ast.unparse(function.targets[0]) == "exit_code":
                found |= set(_numbers(function.value, path))
    return found


def _is_int(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "int"


def _numbers(value: ast.expr, path: Path) -> Iterator[int]:
    match value:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            yield number
        case ast.IfExp(body=body, orelse=other):
            yield from _numbers(body, path)
            yield from _numbers(other, path)
        case ast.Name(id=name) if name.isupper():
            yield int(getattr(importlib.import_module(f"cronherd.cli.{path.stem}"), name))


def variables_read() -> set[str]:
    text = "\n".join(path.read_text("utf-8") for path in SRC.rglob("*.py"))
    return set(re.findall(r'environ(?:\.get\(|\[|, )"([A-Z]\w+)"', text))


def spawn_errors() -> set[str]:
    text = "\n".join(path.read_text("utf-8") for path in (SRC / "supervisor").glob("*.py"))
    return set(re.findall(r'SpawnError\(\s*"(\w+)"', text))


Words = Callable[[], Iterable[object]]
KINDS: dict[str, tuple[Words, str]] = {
    "settings": (settings, "settings"),
    "job settings": (job_settings, "job"),
    "defaults": (lambda: [row.setting for row in DEFAULTS], "defaults"),
    "commands": (commands, "commands"),
    "endpoints": (routes, "api"),
    "events": (lambda: EventKind, "events"),
    "states": (lambda: RunState, "states"),
    "outcomes": (lambda: Outcome, "states"),
    "causes": (lambda: Cause, "states"),
    "reasons": (lambda: Reason, "states"),
    "ways to be killed": (lambda: _KILLED, "states"),
    "errors of a spawn": (spawn_errors, "states"),
    "error codes": (error_codes, "errors"),
    "exit codes": (exit_codes, "exit-codes"),
    "variables given": (docs.given_variables, "environment"),
    "variables read": (variables_read, "environment"),
}


@pytest.mark.parametrize(("words", "page"), KINDS.values(), ids=KINDS)
def test_what_exists_is_documented(words: Words, page: str):
    found = list(words())
    assert found
    assert not undocumented(found, reference(page))


@pytest.mark.parametrize(("words", "page"), KINDS.values(), ids=KINDS)
def test_a_page_without_its_words_is_noticed(words: Words, page: str):
    word = str(next(iter(words())))
    assert undocumented([word], reference(page).replace(f"`{word}`", "")) == [word]


def test_each_option_stands_below_its_command():
    assert not undocumented_options(root, reference("commands"))


def test_an_option_without_its_line_is_noticed():
    text = reference("commands").replace("--dry-run", "--dry")
    assert undocumented_options(root, text) == [
        "cronherd backfill --dry-run",
        "cronherd apply --dry-run",
        "cronherd import crontab --dry-run",
        "cronherd import distributed-cron --dry-run",
        "cronherd import gearman --dry-run",
    ]


def test_exit_codes_are_found_in_numbers_and_names(tmp_path: Path):
    (tmp_path / "main.py").write_text("def f() -> int:\n    return 77 if x else USAGE\n")
    assert exit_codes(tmp_path) == {77, 2}


def test_documented_exit_codes_are_returned_somewhere():
    documented = set(map(int, re.findall(r"^\| `(\d+)`", reference("exit-codes"), re.MULTILINE)))
    assert documented == exit_codes() | {0}


def test_a_code_that_cannot_be_read_is_refused():
    value = ast.parse("f'bad_{thing}'", mode="eval").body
    with pytest.raises(LookupError, match=r"service\.py"):
        codes.codes_of("service.py", value)


# ------------------------------------------------------------------ the reference is up to date


def test_the_reference_is_what_the_code_says():
    assert not docs.differing(FOLDER, made()), "run python3 dev.py docs"


@pytest.mark.full
def test_the_reference_is_the_same_each_time():
    made.cache_clear()
    first = made()
    made.cache_clear()
    assert made() == first


def test_an_old_a_missing_and_a_forgotten_file_are_noticed(tmp_path: Path):
    docs.write(tmp_path, made())
    assert docs.differing(tmp_path, made()) == []
    (tmp_path / "events.md").write_text("old")
    (tmp_path / "states.md").unlink()
    (tmp_path / "forgotten.md").touch()
    assert docs.differing(tmp_path, made()) == ["events.md", "forgotten.md", "states.md"]
    docs.write(tmp_path, made())
    assert docs.differing(tmp_path, made()) == []


def test_no_place_for_a_table_is_left_empty():
    assert not [name for name, text in made().items() if re.search(r"\{\{\w+\}\}", text)]


def test_the_generator_checks_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pages = made()
    monkeypatch.setattr(docs, "pages", lambda _: pages)  # it takes seconds, and `check` does it
    (tmp_path / "docs").mkdir()
    (tmp_path / docs.WORDS).write_text((ROOT / docs.WORDS).read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    assert docs.main(["--check"]) == 1
    assert "docs/reference/commands.md is not what the code says" in capsys.readouterr().out
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert docs.main(["--chekc"]) == 2


# ------------------------------------------------------------------ links


def headings(text: str) -> set[str]:
    """Anchors as the usual renderers make them of headings."""
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


def dead_links(path: str, text: str) -> list[str]:
    """Links and pictures that lead nowhere; `path` is below the checkout."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            found.append(f"{path}: {target}: no links to other places")
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / path).parent / name if name else ROOT / path
        if not file.exists():
            found.append(f"{path}: {target}: there is no such file")
        elif anchor and anchor not in headings(file.read_text("utf-8")):
            found.append(f"{path}: {target}: there is no such heading")
    return found


def test_links_lead_somewhere():
    assert sum(text.count("](") for text in pages().values()) > 30
    assert not [line for path, text in pages().items() for line in dead_links(path, text)]


@pytest.mark.parametrize(
    "target", ["nowhere.md", "../LICENCE", "time.md#no-such-heading", "https://example.org/"]
)
def test_a_dead_link_is_noticed(target: str):
    assert dead_links("docs/index.md", f"see [this]({target})")


def test_each_page_can_be_reached():
    linked = {
        ((ROOT / path).parent / target.partition("#")[0]).resolve()
        for path, text in pages().items()
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
    }
    lonely = [path for path in pages() if (ROOT / path).resolve() not in linked]
    assert set(lonely) <= {"README.md", "docs/index.md"}


# ------------------------------------------------------------------ code blocks


def blocks(text: str, *languages: str) -> list[str]:
    """Fenced blocks of these languages that are not marked as no job."""
    found = re.findall(r"(?m)^(.*)\n```(\w*)\n((?:.*\n)*?)```$", text)
    return [
        body
        for before, language, body in found
        if language in languages and not before.startswith(NOT_A_JOB)
    ]


def block_commands(text: str) -> list[list[str]]:
    """Arguments of each `cronherd …` in blocks for a shell."""
    found = []
    script = "\n".join(blocks(text, "sh", "console")).replace("\\\n", " ")
    for line in script.splitlines():
        words = ["|", *shlex.split(line, comments=True), "|"]
        ends = [place for place, word in enumerate(words) if word in {"|", "&&", ";"}]
        parts = [words[first + 1 : last] for first, last in pairwise(ends)]
        found += [part[1:] for part in parts if part[:1] == ["cronherd"]]
    return found


def named_commands(text: str) -> list[list[str]]:
    """Arguments of each `cronherd …` within a sentence; what it needs may be left out there."""
    return [shlex.split(words) for words in re.findall(r"(?m)`cronherd ([^`\n]+)`", text)]


def refused_command(words: list[str], *, whole: bool = True) -> str:
    """What the command line says against these arguments, empty for nothing. Runs nothing.

    Not `whole`: what a command needs may be missing.
    """
    session = Session(load_host=None, now_us=lambda: 0, environ={})  # type: ignore[arg-type]
    command: click.Command = root
    parent: click.Context | None = None
    rest = list(words)
    try:
        while rest or whole or not isinstance(command, click.Group):
            context = command.make_context("cronherd", rest, parent=parent, obj=session)
            if not isinstance(command, click.Group):
                return ""
            if command.invoke_without_command and not (context._protected_args or context.args):
                return ""
            rest = [*context._protected_args, *context.args]
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command, parent = found, context
    except click.exceptions.Exit:
        pass
    except click.MissingParameter as error:
        return error.format_message() if whole else ""
    except click.ClickException as error:
        return error.format_message()
    return ""


def test_commands_in_the_docs_can_be_given():
    texts = pages().items()
    given = [(path, words, True) for path, text in texts for words in block_commands(text)]
    named = [(path, words, False) for path, text in texts for words in named_commands(text)]
    assert len(given) > 20
    assert len(named) > 20
    wrong = [
        f"{path}: {words}: {said}"
        for path, words, whole in given + named
        if (said := refused_command(words, whole=whole))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("line", ["jbo list", "job list --al", "job list -o xml", "job shw x"])
def test_a_command_that_cannot_be_given_is_noticed(line: str):
    (given,) = block_commands(f"\n```sh\nls | cronherd {line} | head  # look\n```\n")
    (named,) = named_commands(f"write `cronherd {line}` now")
    assert given == named
    assert refused_command(named, whole=False)


TOOLS = {
    "lock": "docs/locks.md",
    "publish": "docs/toolbox.md",
    "timeout": "docs/toolbox.md",
    "timestart": "docs/toolbox.md",
}


def help_examples(name: str) -> list[list[str]]:
    """Arguments of each `cronherd …` on a line of its own in what --help says."""
    told = root.get_command(click.Context(root), name)
    assert told is not None
    lines = [line for line in (told.help or "").splitlines() if re.match(r"[^`]*cronherd ", line)]
    return block_commands("\n```sh\n" + "\n".join(lines) + "\n```\n")


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_shows_examples_in_its_help_and_on_its_page(name: str):
    shown = [words for words in help_examples(name) if words[0] == name]
    assert len(shown) >= 3
    assert not [said for words in shown if (said := refused_command(words))]
    page = block_commands((ROOT / TOOLS[name]).read_text("utf-8"))
    assert not [words for words in shown if words not in page]


def test_a_command_in_a_block_has_all_it_needs():
    assert refused_command(["next"])
    assert not refused_command(["next"], whole=False)


def yaml_faults(text: str) -> list[str]:
    """What the one validator says against the YAML blocks of a page."""
    others = set(Settings.model_fields) - {"jobs", "defaults"}
    found = []
    for body in blocks(text, "yaml"):
        try:
            document = load_document(body, "block")
            read_jobs(document.value, document.place, timezone="UTC", also=others)
        except Invalid as error:
            found.append(str(error))
    return found


def test_yaml_in_the_docs_is_valid():
    assert sum(len(blocks(text, "yaml")) for text in pages().values()) > 0
    example = (ROOT / "examples" / "cronherd.yaml").read_text("utf-8")
    for path, text in (*pages().items(), ("example", f"\n```yaml\n{example}```\n")):
        assert not yaml_faults(text), path


def test_yaml_that_is_not_valid_is_noticed():
    bad = "```yaml\njobs:\n  - name: x\n    comand: echo\n```"
    assert "did you mean 'command'?" in yaml_faults(f"\n{bad}\n")[0]
    assert not yaml_faults(f"{NOT_A_JOB}: it shows a mistake -->\n{bad}\n")


def test_marked_blocks_are_no_jobs_indeed():
    """A mark on what is valid would only hide it from the check."""
    marked = [text.replace(NOT_A_JOB, "<!--") for text in pages().values() if NOT_A_JOB in text]
    assert marked
    assert all(yaml_faults(text) for text in marked)


# ------------------------------------------------------------------ the rest


def test_the_readme_shows_the_two_commands():
    first = blocks(pages()["README.md"], "sh")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == [
        "python3 dev.py up",
        "python3 dev.py test",
    ]


def unknown_tests(text: str) -> list[str]:
    """Tests that a page names and nobody has written."""
    found = []
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        file = ROOT / path
        if not file.exists() or f"def {name}(" not in file.read_text("utf-8"):
            found.append(f"{path}::{name}")
    return found


def test_guarantees_name_tests_that_exist():
    text = pages()["docs/guarantees.md"]
    assert text.count("::test_") > 15
    assert not unknown_tests(text)


def test_a_guarantee_without_its_test_is_noticed():
    lost = "`tests/test_docs.py::test_that_nobody_wrote`"
    assert unknown_tests(lost) == [lost.strip("`")]
    assert unknown_tests("`tests/test_gone.py::test_x`")


def missing_files(text: str) -> list[str]:
    """Files that a page names below src/cronherd, tests or docs, and that are not there."""
    rooms = "api|cli|domain|engine|store|supervisor"
    named = re.findall(
        rf"\b((?:tests|docs|examples|(?:{rooms}))/[\w/.-]+\.(?:py|toml|yaml))\b", text
    )
    return [name for name in named if not any((base / name).exists() for base in (ROOT, SRC))]


def test_files_that_are_named_exist():
    assert sum(len(re.findall(r"/\w+\.py", text)) for text in pages().values()) > 20
    assert not [name for text in pages().values() for name in missing_files(text)]


def test_a_file_that_is_not_there_is_noticed():
    assert missing_files("see store/oracle.py and store/base.py") == ["store/oracle.py"]


def test_each_source_file_stands_in_the_picture_of_the_house():
    house = pages()["ARCHITECTURE.md"].partition("## The house")[2].partition("```\n")[0]
    rooms = [path for path in SRC.rglob("*.py") if path.name != "__init__.py"]
    floors = {"domain", "store", "supervisor", "engine"}
    named = [p for p in rooms if p.parent == SRC or p.parent.name in floors]
    assert len(named) > 60
    assert not [path.name for path in named if not re.search(rf"\b{path.name}\b", house)]


MACHINE = re.compile(
    r"/work\b|/root\b|/home/(?!you\b)\w+"
    r"|\b(?!127\.0\.0\.1|0\.0\.0\.0|10\.0\.0\.0/8)\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|https?://(?!json-schema\.org/|www\.w3\.org/|[a-z-]+\.example\.com\b|127\.0\.0\.1:2766"
    r"|localhost/api/)|\bvm\b"
)


def machine_words(text: str) -> list[str]:
    return MACHINE.findall(text)


def test_nothing_speaks_of_the_machine_it_was_written_on():
    files = [
        *WRITTEN,
        *(p for p in (ROOT / "docs").rglob("*") if p.is_file() and p.suffix != ".webp"),
    ]
    files += [*(ROOT / "examples").rglob("*.yaml"), ROOT / "dev.py"]
    found = {str(path): machine_words(path.read_text("utf-8")) for path in files}
    assert not {path: words for path, words in found.items() if words}


@pytest.mark.parametrize(
    "text",
    [f"in /{'work'}/x", f"/{'root'}/y", "/home/someone", "at 10.0.0.7", "http://mirror/", "vm up"],
)
def test_a_machine_is_noticed(text: str):
    assert machine_words(text)


def test_pictures_follow_light_and_dark_and_load_nothing():
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
    assert pictures
    for path in pictures:
        text = path.read_text("utf-8")
        assert "prefers-color-scheme: dark" in text, path.name
        assert not re.search(r"href|url\(|@import|<script", text), path.name
        assert "<title" in text, path.name
        assert "<desc" in text, path.name
