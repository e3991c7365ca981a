"""Style as a test (ARCHITECTURE.md): sizes, words, clocks, SQL. Only ever tightened.

A rule is a function from one parsed file to sentences. Each has a test that runs it over the
project and a self-test with a bad snippet, because a check that cannot fail is a defect.
"""

import ast
import gc
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "cronherd"
TESTS = ROOT / "tests"

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

BANNED_WORDS = frozenset(
    # run, node and schedule say the first three: one concept, one word; the rest say nothing
    {"execution", "instance", "trigger"}
    | {"manager", "helper", "util", "common", "handler", "data", "info"}
)
CLOCKS = frozenset(
    [f"time.{name}" for name in ("time", "monotonic", "perf_counter", "process_time")]
    + [f"time.{name}_ns" for name in ("time", "monotonic", "perf_counter", "process_time")]
    + ["time.clock_gettime", "time.clock_gettime_ns"]
    + [f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")]
    + ["datetime.date.today"]
)
SQL = re.compile(
    r"""^\s*(
        select\s.+\sfrom\s | insert\s+(or\s+\w+\s+)?into\s | update\s+\S+\s+set\s
      | delete\s+from\s | (create|alter|drop)\s+(table|(unique\s+)?index|trigger|view)\s
      | with\s+(recursive\s+)?\w+(\s*\([^)]*\))?\s+as\s*\( | replace\s+into\s | pragma\s+\w+
    )""",
    re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE,
)
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file: its path below the checkout, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """src/cronherd/store/sqlite.py -> store/sqlite.py"""
        return self.path.removeprefix("src/cronherd/")


def parse(path: str, text: str) -> Source:
    return Source(path=path, text=text, tree=ast.parse(text, path))


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All that is written in it: many rules look, and to walk takes longest."""
    return tuple(ast.walk(tree))


@cache
def sources(folder: Path) -> tuple[Source, ...]:
    found = sorted(folder.rglob("*.py"))
    gc.disable()  # a million nodes come and stay: to look through them for garbage takes longest
    try:
        return tuple(parse(p.relative_to(ROOT).as_posix(), p.read_text("utf-8")) for p in found)
    finally:
        gc.freeze()
        gc.enable()


# ------------------------------------------------------------------ reading a tree


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Local names in full: `from datetime import datetime as d` -> d: datetime.datetime."""
    names: dict[str, str] = {}
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each name or attribute read, under the full name it was imported by."""
    names = imported_names(tree)
    for node in nodes(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and isinstance(node, ast.Attribute | ast.Name):
            full = names.get(inner.id, f"<local>.{inner.id}")
            yield node.lineno, ".".join([full, *reversed(parts)])


def own_names(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Each name this file gives: line, name, whether it names a function (so a verb may lead)."""
    for node in nodes(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name, True
            case ast.ClassDef():
                yield node.lineno, node.name, False
            case ast.arg():
                yield node.lineno, node.arg, False
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id, False
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr, False
            case ast.ImportFrom() | ast.Import():
                yield from ((node.lineno, a.asname, False) for a in node.names if a.asname)


def docstrings(tree: ast.Module) -> set[int]:
    """The ids of string nodes that stand alone: documentation, not values."""
    return {id(node.value) for node in nodes(tree) if isinstance(node, ast.Expr)}


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each string value, an f-string as one with x in its holes."""
    skipped = docstrings(tree)
    for node in nodes(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in skipped
        ):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "x" for p in node.values]
            yield node.lineno, "".join(map(str, parts))


def words_of(name: str) -> list[str]:
    """JobStore -> job, store; start_anchor -> start, anchor."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [word for word in spaced.lower().split("_") if word]


# ------------------------------------------------------------------ the rules


def long_file(source: Source) -> list[str]:
    lines = len(source.text.splitlines())
    if lines <= FILE_LINES_MAX:
        return []
    return [f"{source.path}: {lines} lines, at most {FILE_LINES_MAX}: split it by noun"]


def long_functions(source: Source) -> list[str]:
    found = []
    for node in nodes(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{source.path}:{node.lineno}: {node.name} has {lines} lines")
    return found


def banned_word(name: str, *, may_be_verb: bool = False) -> str | None:
    words = words_of(name)
    if may_be_verb and words[:1] == ["trigger"]:
        words = words[1:]
    return next((w for w in words if {w, w.removesuffix("s")} & BANNED_WORDS), None)


def banned_words(source: Source) -> list[str]:
    names = [(0, part.removesuffix(".py"), False) for part in source.room.split("/")]
    names += own_names(source.tree)
    return [
        f"{source.path}:{line}: {name}: {word!r} says nothing; see Words in ARCHITECTURE.md"
        for line, name, is_function in names
        if (word := banned_word(name, may_be_verb=is_function))
    ]


def clock_reads(source: Source) -> list[str]:
    if source.room == "engine/clock.py":
        return []
    return [
        f"{source.path}:{line}: {name}: take the instant from engine/clock.py"
        for line, name in dotted_uses(source.tree)
        if name in CLOCKS
    ]


def sleeps(source: Source) -> list[str]:
    return [
        f"{source.path}:{line}: wait for an event, not for time.sleep"
        for line, name in dotted_uses(source.tree)
        if name == "time.sleep"
    ]


def sql_outside_store(source: Source) -> list[str]:
    if source.room.startswith("store/"):
        return []
    return [
        f"{source.path}:{line}: SQL belongs into store/"
        for line, text in texts(source.tree)
        if SQL.search(text)
    ]


def prints(source: Source) -> list[str]:
    if source.room.startswith("cli/"):
        return []
    return [
        f"{source.path}:{node.lineno}: print belongs into cli/"
        for node in nodes(source.tree)
        if isinstance(node, ast.Name) and node.id == "print"
    ]


def leftovers(source: Source) -> list[str]:
    if not LEFTOVER.search(source.text):
        return []
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return [
        f"{source.path}:{token.start[0]}: finish it, or write it where work is planned"
        for token in tokens
        if token.type == tokenize.COMMENT and LEFTOVER.search(token.string)
    ]


def _catches_all(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(k, ast.Name) and k.id in {"Exception", "BaseException"} for k in kinds)


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(s, ast.Pass | ast.Continue)
        or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        for s in body
    )


def swallowed_errors(source: Source) -> list[str]:
    found = []
    for node in nodes(source.tree):
        match node:
            case ast.ExceptHandler(type=None):
                found.append(f"{source.path}:{node.lineno}: name the errors you expect")
            case ast.ExceptHandler(type=caught) if _catches_all(caught) and _does_nothing(
                node.body
            ):
                found.append(f"{source.path}:{node.lineno}: an error is swallowed here")
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")):
                if any(map(_catches_all, node.args)):
                    found.append(f"{source.path}:{node.lineno}: an error is swallowed here")
    return found


def undocumented_packages(root: Path) -> list[str]:
    """Every folder with Python files tells in its __init__.py what it is for."""
    found = []
    for folder in sorted({path.parent for path in root.rglob("*.py")}):
        init = folder / "__init__.py"
        if not init.exists() or not ast.get_docstring(ast.parse(init.read_text("utf-8"))):
            found.append(f"{folder.relative_to(root)}/__init__.py: say what this package is for")
    return found


# ------------------------------------------------------------------ the project keeps them

SRC_RULES = (
    long_file,
    long_functions,
    banned_words,
    clock_reads,
    sleeps,
    sql_outside_store,
    prints,
    leftovers,
    swallowed_errors,
)
TEST_RULES = (long_functions, sleeps, leftovers, swallowed_errors)

Rule = Callable[[Source], list[str]]


def assert_kept(rules: Sequence[Rule], folder: Path) -> None:
    read = sources(folder)
    assert read, f"nothing was read in {folder}"
    findings = [finding for rule in rules for source in read for finding in rule(source)]
    assert not findings, "\n" + "\n".join(findings)


def test_src_keeps_the_rules():
    assert_kept(SRC_RULES, SRC)


def test_tests_keep_the_rules():
    assert_kept(TEST_RULES, TESTS)


def test_every_package_says_what_it_is_for():
    findings = undocumented_packages(SRC)
    assert not findings, "\n" + "\n".join(findings)


# ------------------------------------------------------------------ the rules can fail

BAD = [
    (long_file, "x = 1\n" * 401),
    (long_functions, "def f():\n" + "    x = 1\n" * 70),
    (banned_words, "class JobManager: ..."),
    (banned_words, "def load_data(): ..."),
    (banned_words, "job_infos = []"),
    (banned_words, "self.handler = None"),
    (banned_words, "def f(trigger): ..."),
    (banned_words, "for execution in runs: ..."),
    (banned_words, "from os import path as path_util"),
    (clock_reads, "import time\ntime.time()"),
    (clock_reads, "import time as t\nread = t.monotonic_ns"),
    (clock_reads, "from time import clock_gettime as now\nnow(0)"),
    (clock_reads, "import datetime\ndatetime.datetime.now(None)"),
    (clock_reads, "from datetime import datetime as d, UTC\nd.now(UTC)"),
    (clock_reads, "from datetime import date\ndate.today()"),
    (sleeps, "import time\ntime.sleep(1)"),
    (sleeps, "from time import sleep as rest\nrest(1)"),
    (sql_outside_store, 'x = "SELECT id FROM jobs WHERE 1"'),
    (sql_outside_store, 'x = "insert into runs values (1)"'),
    (sql_outside_store, 'x = f"update {table} set a = 1"'),
    (sql_outside_store, 'x = """\n  delete from runs\n"""'),
    (sql_outside_store, 'x = "create table t (a)"'),
    (sql_outside_store, 'x = "with due as (select 1) select 2"'),
    (prints, 'print("x")'),
    (leftovers, "x = 1  # TODO finish"),
    (leftovers, "# FIXME"),
    (swallowed_errors, "try:\n    f()\nexcept:\n    raise"),
    (swallowed_errors, "try:\n    f()\nexcept Exception:\n    pass"),
    (swallowed_errors, "try:\n    f()\nexcept (ValueError, BaseException):\n    ..."),
    (swallowed_errors, "import contextlib\nwith contextlib.suppress(Exception):\n    f()"),
]
GOOD = [
    (long_file, "x = 1\n" * 400),
    (long_functions, "def f():\n" + "    x = 1\n" * 69),
    (banned_words, "metadata = isinstance(x, y)\ndef trigger_alarm(): ..."),
    (banned_words, "x.execution_options(data=1).info"),
    (clock_reads, "from cronherd.engine.clock import time\ntime.time()\nclock.monotonic()"),
    (sleeps, "ticker.sleep(1)"),
    (sql_outside_store, 'x = "choose a job, then select it"\ndef f():\n    "Select x from y."'),
    (prints, "console.print(1)"),
    (leftovers, 'x = "TODO"'),
    (swallowed_errors, "try:\n    f()\nexcept ValueError:\n    pass"),
    (swallowed_errors, "try:\n    f()\nexcept Exception:\n    close()\n    raise"),
]


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_a_rule_catches_what_it_names(rule: Rule, text: str):
    assert rule(parse("src/cronherd/room/noun.py", text))


@pytest.mark.parametrize(("rule", "text"), GOOD)
def test_a_rule_leaves_the_rest_alone(rule: Rule, text: str):
    assert not rule(parse("src/cronherd/room/noun.py", text))


def test_every_rule_has_been_seen_failing():
    assert {rule for rule, _ in BAD} >= {*SRC_RULES, *TEST_RULES}


def test_a_banned_word_in_a_file_name_is_caught():
    assert banned_words(parse("src/cronherd/store/sql_helpers.py", ""))
    assert banned_words(parse("src/cronherd/common/job.py", ""))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (clock_reads, "src/cronherd/engine/clock.py", "import time\ntime.time()"),
        (sql_outside_store, "src/cronherd/store/runs.py", 'x = "delete from runs"'),
        (prints, "src/cronherd/cli/job.py", "print(1)"),
    ],
)
def test_the_one_place_for_a_thing_may_do_it(rule: Rule, path: str, text: str):
    assert not rule(parse(path, text))
    assert rule(parse("src/cronherd/engine/clocks.py", text))


def test_a_package_without_a_docstring_is_caught(tmp_path: Path):
    for name, text in (("told", '"""Told."""'), ("silent", "x = 1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "noun.py").touch()
    (tmp_path / "__init__.py").write_text('"""Root."""')
    assert [line.split("/")[0] for line in undocumented_packages(tmp_path)] == ["bare", "silent"]
