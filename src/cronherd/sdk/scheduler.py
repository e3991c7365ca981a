"""`Scheduler`: jobs as code. What it gives are definitions in the words of a file."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar

from cronherd.definition.jobs import RawJob
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.sdk.frequencies import Frequencies
from cronherd.sdk.meant import unknown_step
from cronherd.sdk.origin import caller, function_name, refuse
from cronherd.sdk.settings import Hook, Said, Settings
from cronherd.sdk.times import Times, shown
from cronherd.task import find

__all__ = ["Group", "JobBuilder", "Scheduler"]

NAME_LENGTH = 60
Work = Mapping[str, object]
_Job = TypeVar("_Job", bound="JobBuilder")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chain(Frequencies, Settings):
    """Steps that were taken. A step changes nothing: it gives a new one."""

    scheduler: "Scheduler"
    times: Times = field(default_factory=Times)
    said: Said = field(default_factory=Said)

    def _times(self) -> Times:
        return self.times

    def _said(self) -> Said:
        return self.said

    def _timed(self, times: Times) -> Self:
        return self._grown(replace(self, times=times))

    def _saying(self, said: Said) -> Self:
        return self._grown(replace(self, said=said))

    def _grown(self, grown: Self) -> Self:
        return grown


class _Maker:
    """What begins a job."""

    def command(self, command: str | Sequence[str]) -> "JobBuilder":
        """A text for the shell, or a list of a program and its arguments."""
        wanted: object = command
        if not isinstance(wanted, str | list | tuple):
            hint = "write command('backup --all') or command(['backup', '--all'])"
            raise refuse(f"{shown(wanted)} is no command", hint=hint)
        given = command if isinstance(command, str) else [str(part) for part in command]
        odd = [part for part in wanted if not isinstance(part, str | int | float | PathLike)]
        if odd:
            raise refuse(f"{shown(odd[0])} is no part of a command", hint="write text")
        if not given:
            raise refuse("there is no command", hint="write command('backup --all')")
        text = given if isinstance(given, str) else " ".join(given)
        return self._begin({"command": given}, re.sub(r"[^\w.]+", "-", text).strip("-."))

    def exec(self, command: str | Sequence[str]) -> "JobBuilder":
        return self.command(command)

    def call(self, function: Callable[..., Any] | str, *args: Any, **named: Any) -> "JobBuilder":
        """A function of a module, and what it is called with: all in order, or all by name."""
        target = function_name(function)
        if args and named:
            raise refuse("args are given in order or by name, not both", code="bad_args")
        given: dict[str, object] = {"task": target}
        if args or named:
            given["args"] = list(args) if args else dict(named)
        return self._begin(given, target.partition(":")[2])

    def task(self, task: Callable[..., Any] | str, *args: Any, **named: Any) -> "JobBuilder":
        """A function with @task, itself or by its name; or `module:function`."""
        found = find(task)
        if found is None and not (isinstance(task, str) and ":" in task):
            hint = "write @task before the function, and import its module here"
            name = task if isinstance(task, str) else getattr(task, "__name__", task)
            raise refuse(f"no task is called '{name}'", hint=hint, code="unknown_task")
        if found is None:
            return self.call(task, *args, **named)
        job = self.call(found.target, *args, **named)
        return replace(job, default_name=found.name)._grown_from(job)  # noqa: SLF001 - one family

    def _begin(self, work: Work, name: str) -> "JobBuilder":
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobBuilder(_Chain):
    """A job, step by step; the scheduler knows the last step of each."""

    number: int
    work: Work
    default_name: str
    begun_at: str

    def _grown(self, grown: Self) -> Self:
        return grown._grown_from(self)

    def _grown_from(self, before: "JobBuilder") -> Self:
        return self.scheduler._grow(before, self)  # noqa: SLF001 - one family

    if not TYPE_CHECKING:  # a type checker is to find the wrong word by itself

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_step(name)

    @property
    def definition(self) -> dict[str, object]:
        """The job in the words of a file, before it is checked. Raises Invalid."""
        return self.scheduler._definition_of(self)  # noqa: SLF001 - one family


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group(_Chain, _Maker):
    """Steps that several jobs share. Each job may say anew what they said."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_step(name)

    def _begin(self, work: Work, name: str) -> JobBuilder:
        begun = self.scheduler._begin(work, name)  # noqa: SLF001 - one family
        times, said = self.times.of_group(), self.said.of_group()
        return replace(begun, times=times, said=said)._grown_from(begun)  # noqa: SLF001


class Scheduler(_Maker):
    """The jobs of a program.

    `timezone`: of jobs that say none. `cwd`: the directory where nodes find the functions.
    `python`: the interpreter that has what the functions import. `environment`: which one this is,
    for environments(). `maintenance`: a function that says whether the application is down; jobs
    are skipped while it is.
    """

    SUNDAY: ClassVar = 0
    MONDAY: ClassVar = 1
    TUESDAY: ClassVar = 2
    WEDNESDAY: ClassVar = 3
    THURSDAY: ClassVar = 4
    FRIDAY: ClassVar = 5
    SATURDAY: ClassVar = 6

    def __init__(
        self,
        *,
        timezone: str | None = None,
        cwd: str | None = None,
        python: str | None = None,
        environment: str | None = None,
        maintenance: Hook | None = None,
    ) -> None:
        self._timezone = timezone
        self._cwd = cwd
        self._python = python
        self._environment = environment
        self._maintenance = None if maintenance is None else function_name(maintenance)
        self._begun_at = caller()
        self._jobs: list[JobBuilder] = []

    def group(self) -> Group:
        """What its jobs have in common: `nightly = schedule.group().daily_at('2:30')`."""
        return Group(scheduler=self)

    @property
    def jobs(self) -> tuple[JobBuilder, ...]:
        """As far as they are said, in their order."""
        return tuple(self._jobs)

    def definitions(self, *, cwd: str | None = None) -> tuple[RawJob, ...]:
        """All jobs in the words of a file, each with the lines that said them.

        `cwd`: the directory for jobs with functions where nothing else is said. Raises
        InvalidInput with all that is wrong; `definition.jobs.build_jobs` checks the rest.
        """
        raws: list[RawJob] = []
        faults: list[Invalid] = []
        for job in self._jobs:
            try:
                raws.append(self._raw(job, cwd))
            except Invalid as error:
                faults.append(error)
        if faults:
            raise InvalidInput(faults)
        return tuple(raws)

    def _raw(self, job: JobBuilder, cwd: str | None) -> RawJob:
        raw = self._definition_of(job, cwd)
        lines, begun = job.said.lines, job.begun_at
        frequency = job.times.frequency
        when = begun if frequency is None else frequency.said_at

        def place(path: tuple[str | int, ...]) -> str:
            key = str(path[1]) if len(path) > 1 else ""
            known = {"schedule": when, "window": when, **lines}
            return known.get(".".join(map(str, path[1:3])), known.get(key, begun))

        return RawJob(raw=raw, label=str(raw["name"]), path=(job.number,), place=place)

    def _definition_of(self, job: JobBuilder, cwd: str | None = None) -> dict[str, object]:
        said = job.said
        definition: dict[str, object] = {"name": self._name_of(job), **job.work}
        if self._timezone is not None:
            definition["timezone"] = self._timezone
        hooks = self._hooks_of(job)
        finds = "task" in job.work or bool(hooks)
        if finds and (self._cwd or cwd):
            definition["cwd"] = self._cwd or cwd
        definition |= said.values
        if finds and self._python:
            env = said.values.get("env", {})
            assert isinstance(env, Mapping)
            definition["env"] = {"CRONHERD_PYTHON": self._python, **env}
        if said.by_hand and job.times.frequency is not None and not job.times.inherited:
            where = job.times.frequency.said_at
            raise refuse("runs by hand only, and has a frequency", where=where)
        if not said.by_hand:
            try:
                definition |= job.times.definition()
            except Invalid as error:
                error.where = job.begun_at
                raise
        if hooks:
            definition["hooks"] = {kind: list(names) for kind, names in hooks.items()}
        if said.never or not self._is_here(job):
            definition["enabled"] = False
        self._check_pings(job, definition)
        return definition

    def _hooks_of(self, job: JobBuilder) -> dict[str, tuple[str, ...]]:
        hooks = dict(job.said.hooks)
        if self._maintenance is not None and not job.said.in_maintenance:
            hooks["skip"] = (self._maintenance, *hooks.get("skip", ()))
        return hooks

    def _name_of(self, job: JobBuilder) -> object:
        name = job.said.values.get("name", job.default_name)
        if (
            isinstance(name, str)
            and name
            and ("name" in job.said.values or len(name) <= NAME_LENGTH)
        ):
            return name
        hint = "add name('...')"
        raise refuse("this job needs a name of its own", hint=hint, where=job.begun_at)

    def _is_here(self, job: JobBuilder) -> bool:
        """Whether its schedule fires in this environment. Raises Invalid where nobody knows."""
        wanted = job.said.environments
        if not wanted:
            return True
        if self._environment is None:
            text = "is for some environments only, and nobody said which one this is"
            hint = "write Scheduler(environment=...)"
            raise refuse(text, hint=hint, where=job.said.lines["environments"])
        return self._environment in wanted

    @staticmethod
    def _check_pings(job: JobBuilder, definition: Mapping[str, object]) -> None:
        """A ping of the start goes out before `when` is asked, so it could promise too much."""
        ping, hooks = definition.get("ping"), definition.get("hooks", {})
        assert isinstance(hooks, Mapping)
        if isinstance(ping, Mapping) and "start" in ping and hooks.keys() & {"when", "skip"}:
            text = "a ping before the start goes out before when() and skip() are asked"
            hint = "use then_ping, or ask in the function itself"
            raise refuse(text, hint=hint, where=job.said.lines["ping"])

    def _begin(self, work: Work, name: str) -> JobBuilder:
        job = JobBuilder(
            scheduler=self,
            number=len(self._jobs),
            work=work,
            default_name=name,
            begun_at=caller(),
        )
        self._jobs.append(job)
        return job

    def _grow(self, before: JobBuilder, grown: _Job) -> _Job:
        """The next step of a job; a second step from the same place begins another job."""
        if self._jobs[before.number] is before:
            self._jobs[grown.number] = grown
            return grown
        branch = replace(grown, number=len(self._jobs))
        self._jobs.append(branch)
        return branch
