"""Names of the jobs of a crontab: of what they do, never of where their line stands."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from unicodedata import normalize

from cronherd.domain.crontab_lines import CrontabEntry

LONGEST_NAME = 60
_HASH_DIGITS = 6
_LONGEST_READ = 16_384

_WRAPPER = re.compile(
    r"bash|env|exec|flock|ionice|java|nice|node|nohup|perl|php|python3?|root|ruby|sh|source|sudo|"
    r"test|time|timeout"
)
_SKIPPED = re.compile(r"(?:cd|test|\[|export|source|\.|sleep|for|set)\s|\w+=\S*\s*$")
_OPENING = re.compile(r"^(?:\s|[({!]\s|(?:if|then|else|do|exec)\b)*")
_SUFFIX = re.compile(r"\.(sh|py|php|pl|rb|js)$")


def with_names(entries: Sequence[CrontabEntry]) -> list[CrontabEntry]:
    """Names of the enabled jobs do not depend on which disabled ones are offered."""
    named: dict[str, CrontabEntry] = {}
    rest = []
    for entry in entries:
        if entry.named and entry.name not in named:
            named[entry.name] = entry
        else:
            rest.append(entry)
    copies: Counter[str] = Counter()
    for enabled in (True, False):
        group = [(_base_name(entry), entry) for entry in rest if entry.enabled is enabled]
        bases = Counter(base for base, _ in group)
        for base, entry in group:
            name = wanted = base if base not in named and bases[base] == 1 else _hashed(base, entry)
            while name in named:
                copies[wanted] += 1
                name = f"{wanted}-{copies[wanted] + 1}"
            named[name] = replace(entry, name=name, named=False)
    return list(named.values())


def _hashed(base: str, entry: CrontabEntry) -> str:
    """With six digits of what the job is: unchanged by whatever stands on other lines."""
    parts = (entry.schedule, entry.command, entry.stdin or "", entry.user or "")
    digest = sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
    return f"{base}-{digest[:_HASH_DIGITS]}"


def _base_name(entry: CrontabEntry) -> str:
    return base_name(entry.description, entry.command, entry.name)


def base_name(description: str, command: str, name: str = "") -> str:
    """What a job is called of its own words: a name, what is said of it, or what it does."""
    first_sentence = re.split(r"[.!?:](?:\s|$)", description, maxsplit=1)[0]
    slugs = map(_slug, (name, first_sentence, _gist(command), command))
    return next((slug for slug in slugs if re.search(r"[a-z]{2}", slug)), "job")


def _gist(command: str) -> str:
    """The program and its first words: without `cd … &&`, variables, options, redirections."""
    for part in re.split(r"&&|\|\||[;|]", command):
        words = re.split(r"(?:\s[0-9&])?[<>]|\s#", _OPENING.sub("", part))[0].split()
        plain = [w for w in words if not re.match(r"[-+0-9(&]|\w+=|\$[^/]*$", w)]
        names = [_SUFFIX.sub("", word.rstrip("/\"'").split("/")[-1]) for word in plain]
        kept = [n for n in names if not _WRAPPER.fullmatch(n) and re.search("[A-Za-z]", n)]
        if kept and not _SKIPPED.match(_OPENING.sub("", part)):
            return " ".join(kept[:3])
    return ""


def _slug(text: str) -> str:
    """Room is left for the hash and a count, so that no name is longer than LONGEST_NAME."""
    room = LONGEST_NAME - _HASH_DIGITS - len("--10000")
    ascii_text = normalize("NFKD", text[:_LONGEST_READ]).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower().replace("'", "")).strip("-")
    return slug if len(slug) <= room else slug[:room].rpartition("-")[0] or slug[:room]
