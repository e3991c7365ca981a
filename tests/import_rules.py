"""The import-linter contract behind "Who may import whom": an allow list of rooms.

import-linter's own contracts name what is forbidden, so a new module starts out free. This one
names what is allowed, so a new module starts out refused until the table in pyproject.toml says
where it belongs. It looks at direct imports, inside functions and under TYPE_CHECKING too.
"""

import sys
from collections.abc import Iterable, Mapping

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "cronherd"
EVERYTHING = "*"

Rules = Mapping[str, frozenset[str]]


def parse_rules(lines: Iterable[str]) -> Rules:
    """Turn "a -> b, c" into {"a": {"b", "c"}}; an empty right side allows nothing."""
    rules: dict[str, frozenset[str]] = {}
    for line in lines:
        left, arrow, right = line.partition("->")
        name = left.strip()
        if not arrow or not name or name in rules:
            raise ValueError(f"import rule {line!r}: write 'room -> room, room', one line per room")
        rules[name] = frozenset(part.strip() for part in right.split(",") if part.strip())
    return rules


def room_of(module: str) -> str:
    """cronherd.store.sqlite -> store; the package itself -> cronherd."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ROOT


def _inside(module: str, allowed: Iterable[str]) -> bool:
    """True when the module is one of the allowed rooms or modules, or lies in one."""
    path = module.removeprefix(f"{ROOT}.")
    return any(name == EVERYTHING or f"{path}.".startswith(f"{name}.") for name in allowed)


def _is_ours(module: str) -> bool:
    return f"{module}.".startswith(f"{ROOT}.")


def _finding_inside(importer: str, imported: str, rooms: Rules) -> str | None:
    room = room_of(importer)
    if imported == ROOT or room_of(imported) == room or _inside(imported, rooms[room]):
        return None
    return f"{importer} -> {imported}: {room} may not import it"


def _finding_outside(importer: str, imported: str, outside: Rules, reserved: Rules) -> str | None:
    room, library = room_of(importer), imported.split(".", maxsplit=1)[0]
    if library in sys.stdlib_module_names:
        return None
    if room in outside and library not in outside[room]:
        return f"{importer} -> {library}: {room} takes nothing like that from outside"
    if library in reserved and room not in reserved[library]:
        return f"{importer} -> {library}: reserved for {', '.join(sorted(reserved[library]))}"
    return None


def find_illegal(graph: ImportGraph, *, rooms: Rules, outside: Rules, reserved: Rules) -> list[str]:
    """Every sentence about an import, or a room, that the table does not allow."""
    findings: list[str] = []
    for importer in sorted(filter(_is_ours, graph.modules)):
        if room_of(importer) not in rooms:
            findings.append(f"{importer}: its room has no line in pyproject.toml yet")
            continue
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            finding = (
                _finding_inside(importer, imported, rooms)
                if _is_ours(imported)
                else _finding_outside(importer, imported, outside, reserved)
            )
            findings += [finding] if finding else []
    return findings


class AllowedContract(Contract):
    """Rooms import what their line names, and nothing else."""

    type_name = "allowed"

    rooms = fields.ListField(subfield=fields.StringField())
    outside = fields.ListField(subfield=fields.StringField())
    reserved = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001 (their signature)
        output.verbose_print(verbose, f"{len(graph.modules)} modules")
        findings = find_illegal(
            graph,
            rooms=parse_rules(self.rooms),  # type: ignore[arg-type] # a field stands for its value
            outside=parse_rules(self.outside),  # type: ignore[arg-type]
            reserved=parse_rules(self.reserved),  # type: ignore[arg-type]
        )
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for finding in check.metadata["findings"]:
            output.print_error(finding, bold=False)
