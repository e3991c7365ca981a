"""Definitions as YAML that people read and edit."""

import yaml

from cronherd.definition.document import resolve_scalar


class _Dumper(yaml.SafeDumper):
    """Quotes each text that a reader of YAML 1.1 or ours would take for something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - their signature
        del indentless  # list items are indented below their key
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, *_: object) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None
    if "\n" in text.rstrip("\n"):
        style = "|"
    elif text and not isinstance(resolve_scalar(text), str):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def to_yaml(value: object) -> str:
    """YAML that our own reader, and any reader of YAML 1.1, takes for the same."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))
