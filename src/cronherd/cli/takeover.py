"""`import crontab --takeover` and `--revert`: lines change hands, and no slot runs twice or never.

Jobs are there but disabled, then the lines are commented out, then the jobs are enabled: between
two of these steps nobody runs a line. The last two fall into the middle of a minute, because cron
looks only when a minute begins. What was done so far is in the journal before it is done.
"""

import difflib
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.cli.complaint import printable
from cronherd.cli.import_plan import Plan
from cronherd.cli.output import Json, has_colour, say, talk
from cronherd.cli.session import Session
from cronherd.cli.words import counted
from cronherd.crontabs.journal import Group, Journal, Stage, TakenFile, Takeover, digest
from cronherd.crontabs.swap import check_writable, read_bytes, replace_bytes
from cronherd.domain.errors import Conflict, Invalid, NotFound
from cronherd.domain.instant import SECOND_US, format_instant, parse_instant
from cronherd.domain.takenover import PutBack, Taken, comment_out, put_back, taken_lines
from cronherd.places import claim_state

if TYPE_CHECKING:
    from cronherd.client import Fleet

# cron wakes when a minute begins and reads what was changed; it is done a moment later.
_EARLIEST_S, _LATEST_S, _MINUTE_S = 3, 40, 60
_MINUTE_US = _MINUTE_S * SECOND_US
_APART_US = 2 * SECOND_US  # cron goes by the clock of its host, the fleet by the database's

wait = threading.Event().wait  # tests hold it


def _journal(session: Session) -> Journal:
    claim_state(session.place.state)  # private from its first moment, whoever makes it
    return Journal(session.place.state)


def drafted(plans: Sequence[Plan], now_us: int) -> tuple[Takeover, tuple[bytes, ...]]:
    """The takeover of all lines whose jobs will run, and the files as they are."""
    at = str(format_instant(now_us))
    files: list[TakenFile] = []
    groups: list[Group] = []
    originals: list[bytes] = []
    for plan in plans:
        jobs = {j.line: j for j in plan.sheet.jobs if j.enabled and j.line not in plan.left}
        if not jobs or plan.read.file is None:
            continue
        raw = plan.read.raw
        changed = comment_out(raw, {line: job.name for line, job in jobs.items()}, at)
        rows = raw.split(b"\n")
        taken = tuple(Taken(line, job.name, rows[line - 1]) for line, job in jobs.items())
        originals.append(raw)
        files.append(
            TakenFile(
                path=plan.path,
                file=str(plan.read.file.absolute()),
                backup=f"{len(files) + 1}.original",
                before=digest(raw),
                after=digest(changed),
                lines=taken,
            )
        )
        groups += [
            Group(source=source, definitions=enabled)
            for source, found in plan.groups().items()
            if (enabled := tuple(each for each in found if each.get("enabled", True)))
        ]
    name = re.sub("[-:.]", "", at)
    return (
        Takeover(id=name, at=at, stage=Stage.PLANNED, files=tuple(files), groups=tuple(groups)),
        tuple(originals),
    )


def show_takeover(session: Session, takeover: Takeover, originals: Sequence[bytes]) -> None:
    """The change of each file, as a diff."""
    for file, raw in zip(takeover.files, originals, strict=True):
        _show_diff(session, file.path, raw, _commented(file, raw, takeover.at))


def take_over(
    session: Session, fleet: "Fleet", takeover: Takeover, originals: Sequence[bytes]
) -> Json:
    """Do it; the answer names the backups. Raises Conflict, Unavailable."""
    journal = _journal(session)
    with journal.held():
        _check_unchanged(takeover)  # another takeover may have ended since the files were read
        kept = journal.begin(takeover, originals)
        _finish(session, fleet, journal, kept)
    backups = [str(journal.backup(kept, file)) for file in kept.files]
    for file, backup in zip(kept.files, backups, strict=True):
        count = len(file.lines)
        talk(f"{file.path}: {counted(count, 'line')} taken over; as it was: {backup}")
    talk("to undo it: cronherd import crontab --revert")
    return {"id": kept.id, "backups": backups}


def _check_unchanged(takeover: Takeover) -> None:
    for file in takeover.files:
        if digest(read_bytes(Path(file.file))) != file.before:
            raise Conflict(
                f"{file.path} was changed since it was read; no line was touched",
                code="file_changed",
                hint="look at it, then take over again",
            )


def check_files(plans: Sequence[Plan]) -> None:
    """Raise before anything is done where a file could not be changed."""
    for plan in plans:
        if plan.read.file is None:
            raise Invalid(
                "standard input cannot be taken over", code="bad_takeover", hint="name the files"
            )
        check_writable(plan.read.file)


def finish_earlier(session: Session, fleet: "Fleet", *, dry_run: bool) -> None:
    """Go on with a takeover that was interrupted. Raises Conflict for one that is half undone."""
    journal = _journal(session)
    with journal.held():
        for takeover in journal.open_ones():
            if takeover.stage is Stage.REVERTING:
                raise Conflict(
                    f"the takeover of {takeover.at} is half undone",
                    code="half_reverted",
                    hint="end it first: cronherd import crontab --revert",
                )
            if takeover.stage is not Stage.DONE:
                talk(f"the takeover of {takeover.at} was interrupted: it is continued")
                if not dry_run:
                    _finish(session, fleet, journal, takeover)


def _finish(session: Session, fleet: "Fleet", journal: Journal, takeover: Takeover) -> None:
    """From any stage to the end; each step may have been done already."""
    if takeover.stage is Stage.PLANNED:
        _apply(session, fleet, takeover, enabled=False)
    _wait_for_the_middle(session)
    began_us = session.now_us()
    if takeover.stage is Stage.PLANNED:
        for file in takeover.files:
            _comment(file, takeover.at)
        takeover = replace(takeover, stage=Stage.COMMENTED)
        journal.save(takeover)
    _apply(session, fleet, takeover, enabled=True)
    ended_us = session.now_us()
    journal.save(replace(takeover, stage=Stage.DONE))
    if began_us // _MINUTE_US != ended_us // _MINUTE_US:
        _tell_missed(takeover, began_us, ended_us)


def _apply(session: Session, fleet: "Fleet", takeover: Takeover, *, enabled: bool) -> None:
    for group in takeover.groups:
        definitions = [{**definition, "enabled": enabled} for definition in group.definitions]
        fleet.apply_jobs(definitions, group.source, session.actor, dry_run=False)


def _commented(file: TakenFile, raw: bytes, at: str) -> bytes:
    return comment_out(raw, {taken.line: taken.job for taken in file.lines}, at)


def _comment(file: TakenFile, at: str) -> None:
    path = Path(file.file)
    raw = read_bytes(path)
    if digest(raw) == file.before:
        replace_bytes(path, raw, _commented(file, raw, at))
        return
    marked = {(taken.job, taken.original) for taken in taken_lines(raw)}
    if not {(taken.job, taken.original) for taken in file.lines} <= marked:
        raise Conflict(
            f"{file.path} was changed since it was read; its jobs are disabled",
            code="file_changed",
            hint="undo it: cronherd import crontab --revert, then take over again",
        )


def _wait_for_the_middle(session: Session) -> None:
    second = session.now_us() % _MINUTE_US / SECOND_US
    if not _EARLIEST_S <= second <= _LATEST_S:
        left_s = (_EARLIEST_S - second) % _MINUTE_S
        talk(f"waiting {left_s:.0f} s for the middle of a minute, while cron does not look")
        wait(left_s)


def _tell_missed(takeover: Takeover, began_us: int, ended_us: int) -> None:
    """The fleet was slow: slots that nobody ran are named, so that somebody may run them."""
    from cronherd.domain.timing.schedule import parse_schedule  # noqa: PLC0415 - hardly ever needed

    for group in takeover.groups:
        for found in group.definitions:
            schedule = parse_schedule(found["schedule"], timezone=str(found["timezone"]))
            slot_us = schedule.next_after(began_us)
            if slot_us is not None and slot_us <= ended_us:
                talk(
                    f"cronherd: warning: '{found['name']}' was due at {format_instant(slot_us)} "
                    "while it changed hands, and nobody ran it: cronherd job run"
                )


# ------------------------------------------------------------------ and back


def look_back(session: Session) -> int | None:
    """Show what a revert would put back into each file; how many lines. Raises Conflict.

    None when no takeover is there to be undone; one that was cut short may have 0 lines.
    """
    journal = _journal(session)
    with journal.held():
        takeovers = journal.open_ones()[::-1]
        if not takeovers:
            return None
        count = 0
        for takeover in takeovers:
            for file in takeover.files:
                raw, back = _checked(file, takeover.at)
                if back is not None:
                    _show_diff(session, file.path, raw, back.raw)
                    count += len(back.lines)
        return count


def revert(session: Session, fleet: "Fleet") -> None:
    """Undo every takeover of this host, the newest first: jobs disabled, then lines put back.

    All files are looked at before anything is changed. Raises Conflict.
    """
    journal = _journal(session)
    with journal.held():
        takeovers = journal.open_ones()[::-1]
        for takeover in takeovers:
            for file in takeover.files:
                _checked(file, takeover.at)
        _wait_for_the_middle(session)
        for takeover in takeovers:
            going = replace(takeover, stage=Stage.REVERTING)
            journal.save(going)
            _disable(session, fleet, going)
            for file in going.files:
                _restore(journal, going, file)
            journal.save(replace(going, stage=Stage.REVERTED))


def _checked(file: TakenFile, at: str) -> tuple[bytes, PutBack | None]:
    raw, back = _without_marks(file, at)
    if back is not None and back.raw != raw:
        check_writable(Path(file.file))
    return raw, back


def _without_marks(file: TakenFile, at: str) -> tuple[bytes, PutBack | None]:
    path = Path(file.file)
    if not path.exists():
        return b"", None
    raw = read_bytes(path)
    if digest(raw) == file.before:  # it was never changed, or is put back already
        return raw, PutBack(raw, (), ())
    return raw, put_back(raw, file.lines, at, file.path)


def _disable(session: Session, fleet: "Fleet", takeover: Takeover) -> None:
    for name in takeover.jobs:
        try:
            fleet.set_enabled(name, session.actor, enabled=False)
        except NotFound:
            talk(f"the job '{name}' is not there any more")


def _restore(journal: Journal, takeover: Takeover, file: TakenFile) -> None:
    raw, back = _without_marks(file, takeover.at)
    backup = journal.backup(takeover, file)
    if back is None:
        talk(f"{file.path} is gone, nothing was put back; as it was: {backup}")
        return
    if back.raw != raw:
        replace_bytes(Path(file.file), raw, back.raw)
    for taken in back.missing:
        talk(f"{file.path}: the line of '{taken.job}' was removed meanwhile; as it was: {backup}")
    if digest(back.raw) == file.before:
        talk(f"{file.path} is as it was, byte by byte")
    else:
        talk(f"{file.path} was edited meanwhile: only the lines taken over were put back")


def _show_diff(session: Session, path: str, old: bytes, new: bytes) -> None:
    if session.settings.output in {"json", "yaml", "name"}:
        return
    before, after = (raw.decode("utf-8", "backslashreplace").split("\n") for raw in (old, new))
    colour = has_colour(session)
    for line in difflib.unified_diff(before, after, path, path, lineterm="", n=1):
        say(printable(line), color=colour)


def check_clocks(session: Session, fleet: "Fleet") -> None:
    """Raise Conflict where cron and the fleet do not mean the same minute."""
    before_us = session.now_us()
    told_us = parse_instant(fleet.status()["now"])
    after_us = session.now_us()
    apart_us = max(before_us - told_us, told_us - after_us)
    if apart_us > _APART_US:
        raise Conflict(
            f"this host's clock and the fleet's are {apart_us / SECOND_US:.0f} s apart: "
            "a slot could be run by both, or by nobody",
            code="clocks_differ",
            hint="set the clocks right, then repeat this",
        )


def check_alive(fleet: "Fleet", node: str | None) -> None:
    """Raise Conflict where nobody would run what cron gives up."""
    alive = [n["name"] for n in fleet.list_nodes()["items"] if n["alive"]]
    if not alive or (node is not None and node not in alive):
        who = f"the node '{node}' does not run" if node is not None else "no node runs"
        raise Conflict(
            f"{who}: nobody would run what cron gives up",
            code="nobody_runs_it",
            hint="start it first: cronherd up",
        )
