"""Definitions as YAML that people read and edit."""

import re

import yaml

from cronherd.definition.document import resolve_scalar
from cronherd.domain.errors import Invalid

# What turns or breaks a line on a terminal, and is not seen.
_HIDDEN = re.compile("[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Dumper(yaml.SafeDumper):
    """Quotes each text that a reader of YAML 1.1 or ours would take for something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - their signature
        del indentless  # list items are indented below their key
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, *_: object) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None
    if _HIDDEN.search(text):
        style = '"'  # the only one with escapes
    elif "\n" in text.rstrip("\n"):
        style = "|"
    elif text and not _is_text(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_text(plain: str) -> bool:
    """Whether our reader takes it for a text when nothing stands around it."""
    try:
        return isinstance(resolve_scalar(plain), str)
    except Invalid:  # a number that is too long for it
        return False


_Dumper.add_representer(str, _represent)


def to_yaml(value: object) -> str:
    """YAML that our own reader, and any reader of YAML 1.1, takes for the same."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
