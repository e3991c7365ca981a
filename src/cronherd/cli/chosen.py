"""Which jobs a command is for: those that are named, or those of a tag, of a node, or all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cronherd.cli.complaint import printable
from cronherd.cli.output import Json, every_page, put_document, put_each, talk
from cronherd.cli.session import Session
from cronherd.domain.errors import CronherdError, NotFound, Unavailable

if TYPE_CHECKING:
    from cronherd.client import Fleet

Verb = Callable[["Fleet", str], Json]
_TOLD = 20  # errors that are said one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was asked for; exactly one of it is there."""

    names: tuple[str, ...]
    tag: str | None
    node: str | None
    every: bool

    @property
    def words(self) -> str:
        """What kind of jobs it is, as the end of a sentence."""
        if self.tag is not None:
            return f" with the tag '{self.tag}'"
        return f" that only '{self.node}' may run" if self.node is not None else ""


def choice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """NAME..., --tag, --node and --all; the command gets them as names, tag, node and every."""
    for option in (
        click.option("--all", "every", is_flag=True, help="All jobs."),
        click.option("--node", metavar="NODE", help="Jobs that no other node may run."),
        click.option("--tag", metavar="TAG", help="Jobs that have this tag."),
        click.argument("names", nargs=-1, metavar="[NAME]..."),
    ):
        function = option(function)
    return function


def choice_of(names: tuple[str, ...], tag: str | None, node: str | None, *, every: bool) -> Choice:
    """Raises UsageError unless there is exactly one way."""
    if sum((bool(names), tag is not None, node is not None, every)) != 1:
        raise click.UsageError("give names, or one of --tag, --node and --all")
    return Choice(names=names, tag=tag, node=node, every=every)


def jobs_of(fleet: "Fleet", choice: Choice) -> list[Json]:
    """All of them; raises NotFound for a name that is no job, and when there are none."""
    if choice.names:
        return [fleet.show_job(name) for name in choice.names]  # all of them, or nothing is done
    jobs: list[Json] = list_chosen(fleet, choice.tag, choice.node)["items"]
    if not jobs:
        raise NotFound(f"there are no jobs{choice.words}", code="no_such_job")
    return jobs


def list_chosen(
    fleet: "Fleet",
    tag: str | None,
    node: str | None,
    search: str | None = None,
    sort: str | None = None,
) -> Json:
    """Every page of the jobs of a tag, of a node, of a search, or of all."""
    asked = (("tag", tag), ("node", node), ("q", search), ("sort", sort))
    wanted = {key: value for key, value in asked if value is not None}

    def ask(after: str | None) -> Json:
        document = fleet.list_jobs(after, **wanted)  # type: ignore[arg-type]
        require_known(document, wanted)
        return document

    return every_page(ask)


def require_known(document: Json, wanted: Mapping[str, str]) -> None:
    """Raises Unavailable when who answered did not know what was asked for: all is no choice."""
    if any(document.get(key) != value for key, value in wanted.items()):
        text = "the cronherd that is asked is too old to choose jobs or runs, or to sort them"
        raise Unavailable(text, code="too_old", hint="name the jobs instead")


def do_each(
    session: Session,
    choice: Choice,
    verb: Verb,
    sentence: Callable[[Json], str],
    *,
    done: str,
    keep: Callable[[Json], bool] = lambda _: True,
    name: str = "name",
) -> None:
    """Do it to each of the jobs, and say what came of it; the error of one stops no other.

    `done` ends the sentence `3 jobs are …`; `keep` chooses among those that nobody named.
    """
    with session.fleet() as fleet:
        jobs = jobs_of(fleet, choice)
        if not choice.names:
            jobs = [job for job in jobs if keep(job)]
        if len(choice.names) == 1:
            put_each(session, [verb(fleet, jobs[0]["id"])], name, sentence)
            return
        documents, faults = _each(fleet, jobs, verb)
    if choice.names and not faults:
        put_each(session, documents, name, sentence)
    else:
        _tell(session, documents, faults, sentence if choice.names else None, name, done)
    if faults:
        raise click.exceptions.Exit(1)


def _each(
    fleet: "Fleet", jobs: Sequence[Json], verb: Verb
) -> tuple[list[Json], list[tuple[str, CronherdError]]]:
    documents: list[Json] = []
    faults: list[tuple[str, CronherdError]] = []
    for job in jobs:
        try:
            documents.append(verb(fleet, job["id"]))
        except Unavailable as error:  # whoever does not answer now will not for the others
            rest = len(jobs) - len(documents) - len(faults)
            text = f"{error.text}; {len(documents)} of {len(jobs)} jobs are done, {rest} are left"
            raise Unavailable(text, code=error.code, hint=error.hint) from None
        except CronherdError as error:
            faults.append((job["name"], error))
    return documents, faults


def _tell(
    session: Session,
    documents: Sequence[Json],
    faults: Sequence[tuple[str, CronherdError]],
    sentence: Callable[[Json], str] | None,
    name: str,
    done: str,
) -> None:
    errors = [
        {"job": job, "code": error.code, "detail": error.text, "hint": error.hint}
        for job, error in faults
    ]
    document = {"items": list(documents), "errors": errors}
    shown = put_document(session, document, lambda: [str(each[name]) for each in documents])
    if not shown:
        for each in documents if sentence else ():
            talk(sentence(each) if sentence else "")
    for job, error in faults[:_TOLD]:
        talk(f"cronherd: {printable(job)}: {error}")
    if len(faults) > _TOLD:
        talk(f"cronherd: and {len(faults) - _TOLD} more")
    if not shown:
        count = len(documents)
        failed = f", {len(faults)} failed" if faults else ""
        talk(f"{count} job{'s are' if count != 1 else ' is'} {done}{_first(documents)}{failed}")


def _first(documents: Sequence[Json]) -> str:
    """How many runs were first when jobs were switched off."""
    count = sum(len(each.get("started_before") or ()) for each in documents)
    return f"; {count} run{'s' * (count != 1)} had started before" if count else ""
