"""The machine codes of errors, as the source says them: for the reference and its tests."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

SRC = Path(__file__).parent
# Codes that are put together where they are raised, by file and as they are written there.
COMPUTED = {
    ("store/claims.py", "answer.reason.value"): ("overlap", "queue_full", "previous_unknown"),
    ("api/problem.py", "status.name.lower()"): ("bad_request",),
    ("pages/errors.py", "status.name.lower()"): ("bad_request",),
}


def error_codes() -> dict[str, set[str]]:
    """Each machine code and the files that raise it. Raises LookupError for one it cannot read."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, nodes in sources():
        for value in _code_values(nodes):
            for code in codes_of(path, value):
                found[code].add(path)
    return {code: found[code] for code in sorted(found)}


@cache
def sources() -> Sequence[tuple[str, Sequence[ast.AST]]]:
    """Every source file by its path below the package, and all that is written in it.

    Read once: parsing and walking it all takes seconds, and the reference looks several times.
    """
    files = sorted(SRC.rglob("*.py"))
    return [
        (file.relative_to(SRC).as_posix(), list(ast.walk(ast.parse(file.read_text("utf-8")))))
        for file in files
    ]


def _code_values(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """What stands behind `code=` in calls and defaults, or is the default of a kind of error."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr="_refuse"), args=[_, _, _, code]):
                yield code
            case ast.Call(keywords=keywords):
                yield from (word.value for word in keywords if word.arg == "code")
            case ast.FunctionDef(args=ast.arguments(args=words, defaults=defaults)):
                pairs = zip(reversed(words), reversed(defaults), strict=False)
                yield from (value for word, value in pairs if word.arg == "code")
            case ast.AnnAssign(target=ast.Name(id="code"), value=ast.expr() as value):
                yield value
            case ast.Assign(targets=[ast.Name(id="default_code")], value=value):
                yield value


def codes_of(path: str, value: ast.expr) -> Sequence[str]:
    """The codes an expression can be. Raises LookupError when it cannot be told."""
    if isinstance(value, ast.Constant):
        return [value.value] if isinstance(value.value, str) and value.value else []
    shown = ast.unparse(value)
    if (path, shown) in COMPUTED:
        return COMPUTED[path, shown]
    if shown == "code" or shown.endswith((".code", "[0].code")):
        return []  # passed on: it was said where the error was made
    raise LookupError(f"{path}: {shown}: say in docs.py which error codes this can be")
