"""What cronherd unites: each promise of the four older systems is kept by tests that name its row.

D1 is a cron over a job table, D2 a fluent scheduler with locks in a cache, D3 one host's toolbox,
D4 scripts behind Gearman's job servers. A row is named in the docstring of a test or of its module.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).resolve().parent
COUNTS = {"D1": 12, "D2": 7, "D3": 8, "D4": 7}
ROWS = {f"{system}.{row}" for system, count in COUNTS.items() for row in range(1, count + 1)}
_ROW = re.compile(r"\bD[1-4]\.\d+\b")
_RANGE = re.compile(r"\b(D[1-4])\.(\d+) to \1\.(\d+)\b")


def rows_of(docstring: str) -> set[str]:
    """`D1.2 to D1.5` are four."""
    spans = {
        f"{system}.{row}"
        for system, first, last in _RANGE.findall(docstring)
        for row in range(int(first), int(last) + 1)
    }
    return spans | set(_ROW.findall(docstring))


def named(sources: Iterable[str]) -> set[str]:
    """The rows that docstrings of tests and of their modules name."""
    found: set[str] = set()
    for source in sources:
        tree = ast.parse(source)
        found |= rows_of(ast.get_docstring(tree) or "")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= rows_of(ast.get_docstring(node) or "")
    return found


def test_each_row_of_the_older_systems_is_named_by_a_test():
    sources = [
        path.read_text("utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__)
    ]
    assert ROWS - named(sources) == set()
    assert named(sources) - ROWS == set()


def test_a_row_in_a_comment_or_a_helper_does_not_count():
    source = '"""D1.2 to D1.4."""\n# D2.1\ndef test_x():\n    """D3.1."""\ndef y():\n    "D4.1"\n'
    assert named([source]) == {"D1.2", "D1.3", "D1.4", "D3.1"}
