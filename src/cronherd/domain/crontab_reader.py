"""Reads a crontab line by line: what the lines so far leave in force for the next one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cronherd.domain.cronline import refuse_more_fields, take_schedule, take_word
from cronherd.domain.crontab_lines import (
    CrontabBlank,
    CrontabComment,
    CrontabEntry,
    CrontabLine,
    CrontabRefusal,
    CrontabSetting,
    Kind,
)
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import load_zone
from cronherd.domain.takenover import OURS, said_description, said_name, taken_text

# Debian's cron stops at 998 characters; sixteen times that is a script, not a command.
LONGEST_LINE = 16_384
MOST_LINES = 10_000  # ten times what Debian's cron reads
LONGEST_DESCRIPTION = 500
_BLANKS = " \t"
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


def _check_line(number: int, text: str) -> None:
    if number > MOST_LINES:
        raise refused(f"the file has more than {MOST_LINES} lines", "divide it")
    if len(text) > LONGEST_LINE:
        raise refused(f"the line is longer than {LONGEST_LINE} characters", "use a script")
    if "\0" in text:
        raise refused("the line has a NUL character", "remove it")


@dataclass(slots=True, kw_only=True)
class Reader:
    """What the lines so far leave in force for the next one."""

    kind: Kind
    commented: bool
    settings: dict[str, str] = field(default_factory=dict)
    timezone: str | None = None
    timezone_fault: str = ""
    remarks: list[str] = field(default_factory=list)
    # A disabled job under a remark leaves it to the enabled one right below: it is of both.
    remarks_used: bool = False
    name: str = ""
    description: str = ""
    taken: list[CrontabEntry] = field(default_factory=list)  # they go on counting for names

    def read(self, number: int, text: str) -> CrontabLine:
        line = self._read(number, text)
        if not isinstance(line, CrontabComment) and getattr(line, "enabled", True):
            self._forget_remarks()
        return line

    def _read(self, number: int, text: str) -> CrontabLine:
        body = text.lstrip(_BLANKS)
        if not body:
            return CrontabBlank(line=number, text=text)
        if text.startswith(OURS):
            return self._read_own(number, text)
        if body.startswith("#"):
            return self._read_comment(number, text, body[:LONGEST_LINE].lstrip(_BLANKS + "#"))
        try:
            _check_line(number, text)
            assigned = _ASSIGNMENT.fullmatch(body)
            if assigned:
                return self._read_setting(number, text, assigned[2], assigned[3])
            return self.read_job(number, text, body, self.remarks)
        except Invalid as refused:
            return CrontabRefusal(line=number, text=text, reason=refused.text, hint=refused.hint)

    def _forget_remarks(self) -> None:
        self.remarks, self.remarks_used = [], False
        self.name = self.description = ""

    def _read_own(self, number: int, text: str) -> CrontabLine:
        """A line that we wrote: for the job below it, or what was taken over."""
        name, description = said_name(text), said_description(text)
        if name is None and description is None:
            self._read_taken(number, text)
            self._forget_remarks()  # a job stood here: what is above it is of that job
        self.name = name or self.name
        self.description = description or self.description
        return CrontabComment(line=number, text=text)

    def _read_taken(self, number: int, text: str) -> None:
        original = taken_text(text)
        try:
            if original is not None:
                self.taken.append(
                    self.read_job(number, text, original.strip(_BLANKS + "\r"), self.remarks)
                )
        except Invalid:
            return  # somebody edited it: nothing to count

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
            job = self.read_job(number, text, body, [] if self.remarks_used else self.remarks)
        except Invalid:
            return None
        self.name = self.description = ""
        return replace(job, enabled=False)

    def _read_setting(self, number: int, text: str, name: str, rest: str) -> CrontabSetting:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise refused(f"'{name[:40]}' does not name a variable", "use letters, digits and _")
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

    def read_job(self, number: int, text: str, body: str, remarks: Sequence[str]) -> CrontabEntry:
        notes: list[str] = []
        if body.startswith("-"):
            body = body[1:].lstrip(_BLANKS)
            notes.append("the leading - (do not log) of SuSE's cron was left out")
        schedule, rest = take_schedule(body, notes)
        user, rest = _take_user(rest) if self.kind is Kind.SYSTEM else (None, rest)
        if self.timezone_fault:
            raise refused(self.timezone_fault, "correct CRON_TZ and import again")
        refuse_more_fields(rest)
        command, stdin = _split_percent(rest)
        if not command.strip():
            raise refused("there is no command", "write a command after the schedule")
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
            description=self.description or _describe(remarks),
            enabled=True,
            name=self.name,
            named=bool(self.name),
            notes=tuple(notes),
        )


def _unquote(rest: str) -> str:
    """Debian's rule: a quote that opens the value must close it, with nothing behind."""
    quote = rest[:1]
    if quote not in ("'", '"'):
        return rest.rstrip()
    value, closed, behind = rest[1:].partition(quote)
    if not closed:
        raise refused("the quote of the value is not closed", f"end the value with {quote}")
    if behind.strip():
        raise refused("there is text behind the closing quote", "put comments on their own line")
    return value


def _take_user(rest: str) -> tuple[str, str]:
    user, command = take_word(rest)
    if re.fullmatch(rf"{_USER.pattern}[:/][\w.:/-]+", user):
        raise refused(f"'{user[:40]}' names a group or class as in FreeBSD", "keep the user only")
    if not _USER.fullmatch(user) or _COMMAND.fullmatch(user):
        shown = f"'{user[:40]}' is not a user: " if user else ""
        raise refused(f"{shown}no user column? is it a user crontab?", "import it as one")
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


def refused(text: str, hint: str) -> Invalid:
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
