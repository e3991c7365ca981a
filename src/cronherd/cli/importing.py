"""`cronherd import crontab`: a report line by line, a question, and the jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cronherd.cli.asking import confirm
from cronherd.cli.gearman_import import gearman_command
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.import_plan import (
    Plan,
    Read,
    Terms,
    apply,
    named,
    plan_of,
    read_crontab,
    read_raw,
)
from cronherd.cli.import_report import show
from cronherd.cli.jobtable_import import jobtable_command
from cronherd.cli.output import Json, talk
from cronherd.cli.session import Session
from cronherd.cli.takeover import (
    check_alive,
    check_clocks,
    check_files,
    drafted,
    finish_earlier,
    look_back,
    revert,
    show_takeover,
    take_over,
)
from cronherd.cli.target import agent_user, choose_node, is_own_node
from cronherd.cli.times import own_zone
from cronherd.cli.words import counted
from cronherd.crontabs.places import HostCrontabs, find_crontabs, host_zone
from cronherd.crontabs.swap import read_bytes
from cronherd.domain.crontab import Kind
from cronherd.domain.errors import Conflict, Invalid
from cronherd.domain.imported import LineState
from cronherd.domain.instant import load_zone

if TYPE_CHECKING:
    from cronherd.client import Fleet

_ANY_HOST = "*"  # in the source of jobs that are pinned to no node
_SHOWN = 3  # names in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asks for; each field is an option of the same name."""

    files: tuple[str, ...]
    host_crontabs: bool
    root: str
    kind: str | None
    owner: str | None
    timezone: str | None
    node: str | None
    any_host: bool
    existing: str
    disabled: bool
    commented: bool
    strict: bool
    takeover: bool
    dry_run: bool
    yes: bool


@click.group("import", cls=Group)
def import_command() -> None:
    """Take over what another cron does."""


@import_command.command("crontab")
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@click.option("--host-crontabs", is_flag=True, help="All that this host's cron reads.")
@click.option(
    "--root", default="/", metavar="DIR", help="Where the host's files are, with --host-crontabs."
)
@click.option("--system", "kind", flag_value="system", help="With a user column.")
@click.option("--user", "kind", flag_value="user", help="Without a user column.")
@click.option("--as", "owner", metavar="USER", help="Whose user crontab it is.")
@click.option("--timezone", metavar="ZONE", help="The zone of the lines; else this host's.")
@click.option("--node", metavar="NAME", help="The node that runs them; else the only one.")
@click.option("--any-host", is_flag=True, help="Let any node run them.")
@click.option(
    "--existing",
    type=click.Choice(["update", "skip", "fail"]),
    default="update",
    show_default=True,
    help="What to do with jobs that are there already.",
)
@click.option("--disabled", is_flag=True, help="Import for review: nothing runs yet.")
@click.option("--commented", is_flag=True, help="Lines that are commented out too, disabled.")
@click.option("--strict", is_flag=True, help="Import nothing when a line is not supported.")
@click.option("--takeover", is_flag=True, help="Comment the lines out in their files.")
@click.option("--revert", "back", is_flag=True, help="Undo each takeover of this host.")
@click.option("--dry-run", is_flag=True, help="Report, and stop.")
@yes_option
@click.pass_obj
def crontab_command(session: Session, /, *, back: bool, **options: Any) -> None:
    """Make jobs of the lines of crontabs; the same file again updates them.

    \b
    crontab -l | cronherd import crontab - --dry-run
    cronherd import crontab --host-crontabs --takeover
    """  # noqa: D301 - click reads \b as "keep these lines"
    wishes = Wishes(**options)
    if back:
        _revert(session, wishes)
        return
    _check(wishes)
    with session.fleet() as fleet:
        if wishes.takeover:
            check_clocks(session, fleet)
            finish_earlier(session, fleet, dry_run=wishes.dry_run)
        _import(session, fleet, wishes)


def _check(wishes: Wishes) -> None:
    if wishes.host_crontabs == bool(wishes.files):
        raise click.UsageError("name files, or write --host-crontabs")
    if wishes.root != "/" and not wishes.host_crontabs:
        raise click.UsageError("--root goes with --host-crontabs")
    if wishes.node is not None and wishes.any_host:
        raise click.UsageError("--node and --any-host contradict each other")
    if wishes.takeover and wishes.disabled:
        raise click.UsageError(
            "--takeover and --disabled contradict each other: nobody would run the lines"
        )


def _import(session: Session, fleet: "Fleet", wishes: Wishes) -> None:
    read, host, zone = _read_all(session, wishes)
    node = None if wishes.any_host else choose_node(session, fleet, wishes.node)
    terms = _terms(session, fleet, wishes, node, zone)
    plans = named(fleet, [plan_of(session, each, terms) for each in read])
    changes = [apply(session, fleet, plan, dry_run=True) for plan in plans]
    plans = _with_existing(plans, changes, wishes.existing)
    refused = sum(line.state is LineState.REFUSED for plan in plans for line in plan.report)
    count = sum(len(found) for plan in plans for found in plan.groups().values())
    show(session, plans, changes, node, host)
    taken, originals = drafted(plans, session.now_us())
    if wishes.takeover:
        show_takeover(session, taken, originals)
    if wishes.strict and refused:
        raise Invalid(
            f"nothing was imported: {counted(refused, 'line')} not supported", code="bad_crontab"
        )
    if wishes.dry_run or not count:
        talk(
            f"{counted(count, 'job')} to import, {counted(refused, 'line')} not supported; "
            "nothing was done"
        )
        return
    if wishes.takeover:
        check_files([plan for plan in plans if plan.groups()])
        check_alive(fleet, node)
    if not wishes.yes and session.settings.output != "json":  # there an error is all of stderr
        talk(f"{counted(count, 'job')} to import, {counted(refused, 'line')} not supported")
    changing = sum(len(file.lines) for file in taken.files) if wishes.takeover else 0
    confirm(_question(count, changing), yes=wishes.yes)
    for plan in plans:
        apply(session, fleet, _without_taken(plan) if wishes.takeover else plan, dry_run=False)
    if changing:
        take_over(session, fleet, taken, originals)
    talk(f"{counted(count, 'job')} imported, {counted(refused, 'line')} not supported")
    _last_words(plans, wishes, count - changing)


def _doubts(read: Read) -> tuple[str, ...]:
    if read.crontab.kind is not Kind.SYSTEM or not read.crontab.refusals:
        return ()
    return (
        "Debian's cron runs no line of a file in which it finds a fault: look at the log of cron",
    )


def _terms(session: Session, fleet: "Fleet", wishes: Wishes, node: str | None, zone: str) -> Terms:
    own = node is None or is_own_node(session, fleet, node)
    if (wishes.takeover or wishes.host_crontabs) and not own and wishes.root == "/":
        raise Conflict(
            f"the node '{node}' is not the one of this host",
            code="other_host",
            hint="do it there, or name this host's node with --node",
        )
    runs_as = agent_user(session)
    return Terms(
        node=node,
        place=node or _ANY_HOST,
        agent_user=runs_as,
        timezone=zone,
        refusal_of=_refusals(session, runs_as, own=own, node=node),
        disabled=wishes.disabled,
    )


def _read_all(session: Session, wishes: Wishes) -> tuple[list[Read], HostCrontabs | None, str]:
    """The crontabs, what the host has besides, and the zone their lines follow."""
    kind = Kind(wishes.kind) if wishes.kind else None
    zone = load_zone(wishes.timezone).key if wishes.timezone else ""
    if not wishes.host_crontabs:
        read = [
            read_crontab(path, kind, wishes.owner, commented=wishes.commented)
            for path in dict.fromkeys(wishes.files)
        ]
        return read, None, zone or own_zone(session).key
    root = Path(wishes.root)
    host = find_crontabs(root)
    read = [
        read_raw(
            read_bytes(file.file),
            file.path,
            file.file,
            file.kind,
            owner=file.owner,
            commented=wishes.commented,
            trusted=file.kind is not Kind.USER,
        )
        for file in host.files
    ]
    read = [replace(each, notes=(*each.notes, *_doubts(each))) for each in read]
    own = host_zone(root)
    return read, host, zone or (load_zone(own).key if own else own_zone(session).key)


def _refusals(
    session: Session, runs_as: str, *, own: bool, node: str | None
) -> Callable[[str], str]:
    """Why the node would not run commands of another user; '' when it would."""
    if runs_as != "root":
        text = f"this agent runs as {runs_as} and cannot become another user"
        return lambda _: text
    if own and node is not None:
        return session.host.user_refusal
    where = f"'{node}'" if node is not None else "each node"
    return lambda user: (
        f"whether {where} lets its jobs run as {user} is not known here "
        f"(a line '{user}' in its /etc/cronherd/run-as.allow)"
    )


def _with_existing(
    plans: Sequence[Plan], changes: Sequence[list[Json]], existing: str
) -> list[Plan]:
    there = {c["name"] for own in changes for c in own if c["change"] != "create"}
    if existing == "update" or not there:
        return list(plans)
    if existing == "fail":
        names = sorted(there)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise Conflict(
            f"these jobs are there already: {', '.join(names[:_SHOWN])}{more}",
            code="job_exists",
            hint="--existing update changes them, --existing skip leaves them alone",
        )
    text = "the job is there already and is left as it is"
    return [
        replace(plan, left={job.line: text for job in plan.sheet.jobs if job.name in there})
        for plan in plans
    ]


def _without_taken(plan: Plan) -> Plan:
    """What is imported beside a takeover: jobs that do not run yet."""
    jobs = tuple(job for job in plan.sheet.jobs if not job.enabled)
    return replace(plan, sheet=replace(plan.sheet, jobs=jobs))


def _question(count: int, changing: int) -> str:
    if not changing:
        return f"Import {counted(count, 'job')}?"
    return f"Import {counted(count, 'job')}, and comment out {counted(changing, 'line')} of cron?"


def _last_words(plans: Sequence[Plan], wishes: Wishes, left: int) -> None:
    talk("as under cron they may overlap (overlap: allow) and are not caught up (catchup: none)")
    if wishes.disabled:
        talk("they are disabled: look at them, then cronherd job enable NAME")
    elif not wishes.takeover and any(plan.read.file for plan in plans):
        talk("cron still runs its lines too: --takeover comments them out")
    elif wishes.takeover and left:
        talk(f"{counted(left, 'job')} of them disabled: cron goes on with {counted(left, 'line')}")


def _revert(session: Session, wishes: Wishes) -> None:
    if wishes.files or wishes.host_crontabs or wishes.takeover:
        raise click.UsageError("--revert undoes each takeover of this host: it takes no files")
    count = look_back(session)
    if count is None:
        talk("nothing is taken over on this host: there is nothing to put back")
        return
    with session.fleet() as fleet:
        if wishes.dry_run:
            talk(f"{counted(count, 'line')} to put back; nothing was done")
            return
        check_clocks(session, fleet)
        confirm(f"Disable the jobs and put back {counted(count, 'line')}?", yes=wishes.yes)
        revert(session, fleet)
    talk(f"{counted(count, 'line')} put back: cron runs them again, their jobs are disabled")


import_command.add_command(gearman_command)
import_command.add_command(jobtable_command)
