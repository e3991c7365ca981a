"""Crontabs as text: every line is a job, a setting, a comment, blank, or refused with the reason.

The reference is Debian's cron 3.0pl1. Where a job means something else here, its notes say so.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from unicodedata import normalize

from cronherd.domain.cronexpr import (
    WELL_KNOWN_USER,
    ask_for_user,
    refuse_more_fields,
    take_schedule,
    take_word,
)
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import load_zone

# Debian's cron stops at 998 characters; sixteen times that is a script, not a command.
LONGEST_LINE = 16_384
MOST_LINES = 10_000  # ten times what Debian's cron reads
LONGEST_NAME = 60
LONGEST_DESCRIPTION = 500
_HASH_DIGITS = 6


class Kind(StrEnum):
    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabEntry(_Line):
    """One job; `command` ends at the first bare %, what follows it is `stdin`."""

    schedule: str
    user: str | None
    command: str
    stdin: str | None
    environment: Mapping[str, str]
    timezone: str | None
    mailto: str | None
    description: str
    enabled: bool
    name: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabRefusal(_Line):
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabSetting(_Line):
    """NAME = value, in force for the jobs below it."""

    name: str
    value: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabComment(_Line):
    """A remark, or a job or setting that is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabBlank(_Line):
    """Nothing but blanks."""


CrontabLine = CrontabEntry | CrontabRefusal | CrontabSetting | CrontabComment | CrontabBlank


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """The whole file: each of its lines once, in order; `notes` are about the file."""

    kind: Kind
    lines: tuple[CrontabLine, ...]
    notes: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[CrontabEntry, ...]:
        return tuple(line for line in self.lines if isinstance(line, CrontabEntry))

    @property
    def refusals(self) -> tuple[CrontabRefusal, ...]:
        return tuple(line for line in self.lines if isinstance(line, CrontabRefusal))


def guess_kind(path: str, text: str) -> Kind:
    """System for /etc/crontab and /etc/cron.d, or where a header names the user column."""
    if re.search(r"(^|/)etc/(crontab|cron\.d/[^/]+)$", path) or _USER_HEADER.search(text):
        return Kind.SYSTEM
    return Kind.USER


def parse_crontab(text: str, kind: Kind, *, commented: bool = False) -> Crontab:
    """Read any text; `commented` also offers commented-out jobs, as disabled entries."""
    notes: list[str] = []
    reader = _Reader(kind=kind, commented=commented)
    lines = [reader.read(number, raw) for number, raw in enumerate(_split(text, notes), start=1)]
    entries = [line for line in lines if isinstance(line, CrontabEntry)]
    named = {entry.line: entry for entry in _with_names(entries)}
    users = [entry for entry in entries if WELL_KNOWN_USER.match(entry.command)]
    if len(users) < len(entries):  # `mail` may be a command, root never is
        users = [entry for entry in users if entry.command.startswith("root")]
    if kind is Kind.USER and users:
        notes.append(f"line {users[0].line}: {ask_for_user(users[0].command)}")
    return Crontab(
        kind=kind, lines=tuple(named.get(line.line, line) for line in lines), notes=tuple(notes)
    )


_BLANKS = " \t"
_USER_HEADER = re.compile(r"(?im)^#.*\bdow\s+user(name)?\s+(command|cmd)\b")
_ASSIGNMENT = re.compile(r"""(["']?)([^\s="']+)\1[ \t]*=[ \t]*(.*)""", re.DOTALL)
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,255}\$?")
# First words that are never a user: without them a user crontab read as a system one would lose
# the first word of each command and run the rest as nobody knows whom.
_COMMAND = re.compile(
    r"bash|cd|curl|date|echo|env|exec|export|find|flock|for|if|java|nice|node|perl|php|python3?|"
    r"rm|rsync|ruby|run-parts|sh|sleep|source|su|sudo|tar|test|touch|wget|while"
)
_SETTING_NOTES = {
    "CRON_TZ": "the schedules below follow CRON_TZ as in cronie; Debian's cron ignores it",
    "TZ": "TZ is only a variable of the commands, as in Debian's cron: no schedule follows it",
    "LOGNAME": "Debian's cron does not let a crontab change LOGNAME",
    "MAILFROM": "MAILFROM is cronie's: here it is only a variable of the commands",
    "RANDOM_DELAY": "RANDOM_DELAY is cronie's: the jobs start without a random delay",
}


def _split(text: str, notes: list[str]) -> list[str]:
    if text.startswith("\ufeff"):
        notes.append("the byte order mark at the start was left out")
        text = text[1:]
    raw_lines = text.split("\n")
    if raw_lines[-1]:
        notes.append("the last line has no newline at its end: Debian's cron refuses that")
    else:
        raw_lines.pop()
    if any(raw.endswith("\r") for raw in raw_lines):
        notes.append("lines end with CR LF: Debian's cron would add the CR to each command")
    return [raw.removesuffix("\r") for raw in raw_lines]


def _check_line(number: int, text: str) -> None:
    if number > MOST_LINES:
        raise _refused(f"the file has more than {MOST_LINES} lines", "divide it")
    if len(text) > LONGEST_LINE:
        raise _refused(f"the line is longer than {LONGEST_LINE} characters", "use a script")
    if "\0" in text:
        raise _refused("the line has a NUL character", "remove it")


@dataclass(slots=True, kw_only=True)
class _Reader:
    """What the lines so far leave in force for the next one."""

    kind: Kind
    commented: bool
    settings: dict[str, str] = field(default_factory=dict)
    timezone: str | None = None
    timezone_fault: str = ""
    remarks: list[str] = field(default_factory=list)
    # A disabled job under a remark leaves it to the enabled one right below: it is of both.
    remarks_used: bool = False

    def read(self, number: int, text: str) -> CrontabLine:
        line = self._read(number, text)
        if not isinstance(line, CrontabComment) and getattr(line, "enabled", True):
            self.remarks, self.remarks_used = [], False
        return line

    def _read(self, number: int, text: str) -> CrontabLine:
        body = text.lstrip(_BLANKS)
        if not body:
            return CrontabBlank(line=number, text=text)
        if body.startswith("#"):
            return self._read_comment(number, text, body[:LONGEST_LINE].lstrip(_BLANKS + "#"))
        try:
            _check_line(number, text)
            assigned = _ASSIGNMENT.fullmatch(body)
            if assigned:
                return self._read_setting(number, text, assigned[2], assigned[3])
            return self._read_job(number, text, body, self.remarks)
        except Invalid as refused:
            return CrontabRefusal(line=number, text=text, reason=refused.text, hint=refused.hint)

    def _read_comment(self, number: int, text: str, body: str) -> CrontabLine:
        job = self._commented_job(number, text, body)
        if job:
            self.remarks_used = True
            return job if self.commented else CrontabComment(line=number, text=text)
        banner = _is_banner(body)
        if self.remarks_used or banner:
            self.remarks, self.remarks_used = [], False
        self.remarks.append("" if banner else _strip_ruler(body))
        return CrontabComment(line=number, text=text)

    def _commented_job(self, number: int, text: str, body: str) -> CrontabEntry | None:
        if not re.match(r"[-*\d@]", body) or _TEMPLATE_JOB.search(body):
            return None
        try:
            _check_line(number, text)
            job = self._read_job(number, text, body, [] if self.remarks_used else self.remarks)
        except Invalid:
            return None
        return replace(job, enabled=False)

    def _read_setting(self, number: int, text: str, name: str, rest: str) -> CrontabSetting:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise _refused(f"'{name[:40]}' does not name a variable", "use letters, digits and _")
        value = _unquote(rest)
        if name == "CRON_TZ":
            # The jobs below would run at other hours than they say: they are refused with it.
            self.timezone_fault = f"its CRON_TZ in line {number} is not a known time zone"
            self.timezone = load_zone(value).key if value else None
            self.timezone_fault = ""
        self.settings[name] = value
        notes = [_SETTING_NOTES[name]] if value and name in _SETTING_NOTES else []
        if not rest.strip():
            notes.append("an empty value without quotes: Debian's cron refuses it")
        return CrontabSetting(line=number, text=text, name=name, value=value, notes=tuple(notes))

    def _read_job(self, number: int, text: str, body: str, remarks: Sequence[str]) -> CrontabEntry:
        notes: list[str] = []
        if body.startswith("-"):
            body = body[1:].lstrip(_BLANKS)
            notes.append("the leading - (do not log) of SuSE's cron was left out")
        schedule, rest = take_schedule(body, notes)
        user, rest = _take_user(rest) if self.kind is Kind.SYSTEM else (None, rest)
        if self.timezone_fault:
            raise _refused(self.timezone_fault, "correct CRON_TZ and import again")
        refuse_more_fields(rest)
        command, stdin = _split_percent(rest)
        if not command.strip():
            raise _refused("there is no command", "write a command after the schedule")
        if stdin and re.search(r"%%\w+%%", rest):
            notes.append("%%…%% looks like a placeholder: the command ends at the first %")
        environment = {k: v for k, v in self.settings.items() if k not in {"CRON_TZ", "MAILTO"}}
        return CrontabEntry(
            line=number,
            text=text,
            schedule=schedule,
            user=user,
            command=command,
            stdin=stdin,
            environment=MappingProxyType(environment),
            timezone=self.timezone,
            mailto=self.settings.get("MAILTO"),
            description=_describe(remarks),
            enabled=True,
            notes=tuple(notes),
        )


def _unquote(rest: str) -> str:
    """Debian's rule: a quote that opens the value must close it, with nothing behind."""
    quote = rest[:1]
    if quote not in ("'", '"'):
        return rest.rstrip()
    value, closed, behind = rest[1:].partition(quote)
    if not closed:
        raise _refused("the quote of the value is not closed", f"end the value with {quote}")
    if behind.strip():
        raise _refused("there is text behind the closing quote", "put comments on their own line")
    return value


def _take_user(rest: str) -> tuple[str, str]:
    user, command = take_word(rest)
    if re.fullmatch(rf"{_USER.pattern}[:/][\w.:/-]+", user):
        raise _refused(f"'{user[:40]}' names a group or class as in FreeBSD", "keep the user only")
    if not _USER.fullmatch(user) or _COMMAND.fullmatch(user):
        shown = f"'{user[:40]}' is not a user: " if user else ""
        raise _refused(f"{shown}no user column? is it a user crontab?", "import it as one")
    return user, command


def _split_percent(text: str) -> tuple[str, str | None]:
    r"""Debian's rule: in the command `\%` is % and `\\` is \; in stdin only `\%` is changed."""
    found = re.match(r"(?:\\.|[^%\\]|\\$)*", text, re.DOTALL)
    raw = found[0] if found else ""
    # Blanks at the end mean nothing, unless a backslash keeps the first of them.
    ended = raw.rstrip() if not raw.rstrip().endswith("\\") else raw
    command = re.sub(r"\\([%\\])", r"\1", ended)
    if len(raw) == len(text):
        return command, None
    stdin = re.sub(r"(\\?)%", lambda hit: "%" if hit[1] else "\n", text[len(raw) + 1 :])
    return command, stdin + "\n" if stdin and not stdin.endswith("\n") else stdin


def _refused(text: str, hint: str) -> Invalid:
    return Invalid(text, code="bad_crontab", hint=hint)


_FIELD_WORD = re.compile(
    r"m|mins?|minutes?|h|hr|hours?|d|dom|days?|mday|months?|mon|w|wday|week|weekday|dow|user|who|"
    r"username|day_?of_?(month|week)|command|cmd"
)
_BANNER = re.compile(
    r"(?i)do not (edit|make local)|^\(.* installed on |cron version|\$\w+:|auto-?generated|"
    r"is managed by|details see man|manual pages? of cron|example of job definition|^[.|]|"
    r"local changes|ansible_managed|^/etc/cron\S*:|^vim?:"
)
# Jobs of the templates that distributions ship: examples, not jobs somebody switched off.
_TEMPLATE_JOB = re.compile(r"user-?name\s+command to be executed|tar -zcf /var/backups/home\.tgz")
_WRAPPER = re.compile(
    r"bash|env|exec|flock|ionice|java|nice|node|nohup|perl|php|python3?|root|ruby|sh|source|sudo|"
    r"test|time|timeout"
)
_SKIPPED = re.compile(r"(?:cd|test|\[|export|source|\.|sleep|for|set)\s|\w+=\S*\s*$")
_OPENING = re.compile(r"^(?:\s|[({!]\s|(?:if|then|else|do|exec)\b)*")
_SUFFIX = re.compile(r"\.(sh|py|php|pl|rb|js)$")


def _is_banner(body: str) -> bool:
    words = re.findall(r"[a-z_]+", body.lower())
    known = len([word for word in words if _FIELD_WORD.fullmatch(word)])
    header = known >= 4 and known * 10 >= len(words) * 6
    return header or bool(_BANNER.search(body) or _TEMPLATE_JOB.search(body))


def _describe(remarks: Sequence[str]) -> str:
    """The last paragraph right above; empty remarks and rulers divide paragraphs."""
    paragraphs = "\n".join(remarks).strip("\n").split("\n\n")
    return " ".join(paragraphs[-1].split())[:LONGEST_DESCRIPTION]


def _strip_ruler(body: str) -> str:
    """The words of a remark, '' for a ruler, a bare #, a setting or a job that is switched off."""
    if re.match(r"[A-Z_]+[ \t]*=|([-*/,?\d]+[ \t]+){4}", body):
        return ""
    return body.lstrip("-=*#_+.|:;!>< \t").rstrip("-=*#_~+ \t")


def _with_names(entries: Sequence[CrontabEntry]) -> list[CrontabEntry]:
    """Names of the enabled jobs do not depend on which disabled ones are offered."""
    named: dict[str, CrontabEntry] = {}
    copies: Counter[str] = Counter()
    for enabled in (True, False):
        group = [(_base_name(entry), entry) for entry in entries if entry.enabled is enabled]
        bases = Counter(base for base, _ in group)
        for base, entry in group:
            name = wanted = base if base not in named and bases[base] == 1 else _hashed(base, entry)
            while name in named:
                copies[wanted] += 1
                name = f"{wanted}-{copies[wanted] + 1}"
            named[name] = replace(entry, name=name)
    return list(named.values())


def _hashed(base: str, entry: CrontabEntry) -> str:
    """With six digits of what the job is: unchanged by whatever stands on other lines."""
    parts = (entry.schedule, entry.command, entry.stdin or "", entry.user or "")
    digest = sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
    return f"{base}-{digest[:_HASH_DIGITS]}"


def _base_name(entry: CrontabEntry) -> str:
    first_sentence = re.split(r"[.!?:](?:\s|$)", entry.description, maxsplit=1)[0]
    slugs = map(_slug, (first_sentence, _gist(entry.command), entry.command))
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
    ascii_text = normalize("NFKD", text[:LONGEST_LINE]).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower().replace("'", "")).strip("-")
    return slug if len(slug) <= room else slug[:room].rpartition("-")[0] or slug[:room]
