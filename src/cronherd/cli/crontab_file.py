"""`cronherd crontab`: a user's jobs as a crontab (-l), and what each line of a file means (-T)."""

import re

import click

from cronherd.cli.complaint import printable
from cronherd.cli.exporting import jobs_of, made_crontab
from cronherd.cli.grammar import Command
from cronherd.cli.import_plan import STDIN, Plan, Terms, plan_of, read_crontab
from cronherd.cli.output import Json, put_document, put_text, say, talk
from cronherd.cli.session import Session, user_name
from cronherd.cli.target import choose_node
from cronherd.cli.times import own_zone, times_of
from cronherd.domain.crontab import CrontabEntry, CrontabRefusal, Kind
from cronherd.domain.instant import format_instant, load_zone

FAULTY = 1
_FIELD = re.compile(r"\(field (\d)\)")


@click.command("crontab", cls=Command)
@click.option("-l", "--list", "listed", is_flag=True, help="The jobs of a user on this host.")
@click.option("-u", "--user", metavar="USER", help="Whose jobs; else your own.")
@click.option("-T", "--test", "file", metavar="FILE|-", help="Test a crontab, line by line.")
@click.option("--system", is_flag=True, help="The file to test has a user column.")
@click.pass_obj
def crontab_command(
    session: Session, *, listed: bool, user: str | None, file: str | None, system: bool
) -> int:
    """Show a user's jobs as a crontab, or test a crontab without doing anything.

    The test exits with 1 when a line is at fault; each fault has its file, line and column.
    """
    if listed == (file is not None):
        raise click.UsageError("write -l to list, or -T FILE to test")
    if file is not None:
        return _test(session, file, Kind.SYSTEM if system else None)
    _list(session, user or user_name())
    return 0


def _list(session: Session, user: str) -> None:
    zone = own_zone(session)
    with session.fleet() as fleet:
        node = choose_node(session, fleet, None)
        jobs = jobs_of(fleet, node, user)
    if not jobs:
        talk(f"no jobs for {user} on {node}")
        return
    owner = user if user != user_name() else None
    text, _ = made_crontab(
        session, jobs, place=node, kind=Kind.USER, owner=owner or user, zone=zone.key
    )
    put_text(text.rstrip("\n"))


def _test(session: Session, file: str, kind: Kind | None) -> int:
    read = read_crontab(file, kind, None, commented=False)
    zone = own_zone(session).key
    terms = Terms(
        node=None,
        place="",
        agent_user=user_name(),
        timezone=zone,
        refusal_of=lambda _: "",
        disabled=False,
    )
    plan = plan_of(session, read, terms)
    lines = _lines(session, plan, zone)
    faults = [line for line in lines if line["fault"]]
    document = {"file": file, "kind": read.crontab.kind.value, "lines": lines}
    if not put_document(session, document, lambda: [str(line["line"]) for line in faults]):
        shown = "standard input" if file == STDIN else printable(file)
        for line in lines:
            _show(session, shown, line)
        talk(f"{len(lines) - len(faults)} of {len(lines)} lines can be read")
    return FAULTY if faults else 0


def _lines(session: Session, plan: Plan, zone: str) -> list[Json]:
    """Jobs and faults, in the order of the file."""
    lines: list[Json] = []
    for line in plan.read.crontab.lines:
        if isinstance(line, CrontabEntry):
            reason, hint = plan.refused.get(line.line, ("", ""))
            lines.append(
                {
                    "line": line.line,
                    "column": _column(line.text, reason),
                    "command": line.command,
                    "fault": reason or None,
                    "hint": hint or None,
                    **({} if reason else _meaning(session, line, line.timezone or zone)),
                    "notes": list(line.notes),
                }
            )
        elif isinstance(line, CrontabRefusal):
            lines.append(
                {
                    "line": line.line,
                    "column": _column(line.text, line.reason),
                    "command": None,
                    "fault": line.reason,
                    "hint": line.hint or None,
                    "notes": [],
                }
            )
    return lines


def _meaning(session: Session, entry: CrontabEntry, timezone: str) -> Json:
    from cronherd.domain.timing.explained import explain  # noqa: PLC0415 - only for -T
    from cronherd.domain.timing.schedule import parse_schedule  # noqa: PLC0415 - only for -T

    schedule = parse_schedule(entry.schedule, timezone=timezone)
    following = None if schedule.at_boot else schedule.next_after(session.now_us())
    return {
        "schedule": entry.schedule,
        "meaning": explain(schedule, load_zone(timezone))[0],
        "timezone": timezone,
        "next_at": format_instant(following),
    }


def _column(text: str, reason: str) -> int:
    """Where in the line the fault is, from 1: its field, the value of a setting, or its start."""
    words = list(re.finditer(r"[^ \t]+", text))
    if not words:
        return 1
    field = _FIELD.search(reason)
    if field and int(field[1]) <= len(words):
        return words[int(field[1]) - 1].start() + 1
    setting = re.match(r"""[ \t]*["']?[^\s="']+["']?[ \t]*=[ \t]*""", text)
    if setting and "field" not in reason and reason:
        return setting.end() + 1
    return words[0].start() + 1


def _show(session: Session, file: str, line: Json) -> None:
    if line["fault"]:
        say(f"{file}:{line['line']}:{line['column']}: {printable(line['fault'])}")
        if line["hint"]:
            say(f"  hint: {printable(line['hint'])}")
        return
    zone = load_zone(line["timezone"])
    following = line["next_at"]
    after = f" Next: {times_of(session).inside(following, zone)}." if following else ""
    say(f"{file}:{line['line']}: {line['meaning']}{after}")
    for note in line["notes"]:
        say(f"  note: {printable(note)}")
