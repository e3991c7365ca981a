"""The steps that say what else is to hold: what is told, where it runs, what it shares, hooks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cronherd.definition.jobs import JobDefinition
from cronherd.sdk.origin import caller, function_name, refuse
from cronherd.sdk.times import number, shown

Hook = Callable[..., Any] | str
Duration = str | int | float
# What steps of their own say.
_NOT_SET = frozenset({"name", "command", "task", "args", "schedule", "window", "hooks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Settings in the words of a file, each with the line that said it."""

    values: Mapping[str, object] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inherited: frozenset[str] = frozenset()
    environments: tuple[str, ...] = ()
    never: str = ""
    """Why the schedule does not fire, where a step of the definition said so."""
    by_hand: bool = False
    in_maintenance: bool = False

    def of_group(self) -> "Said":
        """What a job of a group begins with; it may say all of it anew."""
        return replace(self, inherited=frozenset(self.values))


class Settings(ABC):
    """Steps of settings; each gives a new builder."""

    @abstractmethod
    def _said(self) -> Said: ...

    @abstractmethod
    def _saying(self, said: Said) -> Self: ...

    def _set(self, **values: object) -> Self:
        """Raises Invalid for what was said otherwise before."""
        said, line = self._said(), caller()
        for key, value in values.items():
            if key in said.values and key not in said.inherited and said.values[key] != value:
                text = f"{key} was said before as {said.values[key]!r}"[:200]
                raise refuse(text, hint=f"that was at {said.lines[key]}", code="said_twice")
        return self._saying(
            replace(
                said,
                values={**said.values, **values},
                lines={**said.lines, **dict.fromkeys(values, line)},
                inherited=said.inherited - values.keys(),
            )
        )

    def _merge(self, key: str, **parts: object) -> Self:
        """Add to a mapping; what a group said in it may be said anew."""
        said = self._said()
        known = said.values.get(key, {})
        before = dict(known) if isinstance(known, Mapping) else {}
        if key not in said.inherited:
            for part in parts.keys() & before.keys():
                if before[part] != parts[part]:
                    text = f"{key}.{part} was said before as {before[part]!r}"[:200]
                    raise refuse(text, hint=f"that was at {said.lines[key]}", code="said_twice")
        values = {**said.values, key: {**before, **parts}}
        lines = {**said.lines, key: caller()}
        return self._saying(replace(said, values=values, lines=lines))

    def set(self, **settings: object) -> Self:
        unknown = [key for key in settings if key not in JobDefinition.model_fields]
        if unknown or not settings:
            raise refuse(f"there is no setting {', '.join(unknown)}", code="unknown_setting")
        own = sorted(_NOT_SET & settings.keys())
        if own:
            raise refuse(f"{own[0]} has steps of its own", code="unknown_setting")
        return self._set(**settings)

    # ------------------------------------------------------------------ what it is called

    def name(self, name: str) -> Self:
        wanted: object = name
        if not isinstance(wanted, str) or not wanted:
            raise refuse(f"{shown(wanted)} is no name", hint="write name('report')")
        return self._set(name=name)

    def description(self, text: str) -> Self:
        return self._set(description=text)

    def tags(self, *tags: str) -> Self:
        return self._set(tags=list(tags))

    # ------------------------------------------------------------------ around the schedule

    def timezone(self, zone: str) -> Self:
        return self._set(timezone=str(zone))

    def excluding(self, *times: str | Mapping[str, object]) -> Self:
        return self._set(excluding=list(times))

    def starting(self, moment: str) -> Self:
        return self._set(start=str(moment))

    def ending(self, moment: str) -> Self:
        return self._set(end=str(moment))

    def max_runs(self, count: int) -> Self:
        return self._set(max_runs=count)

    def jitter(self, most: Duration) -> Self:
        return self._set(jitter=most)

    def by_hand(self) -> Self:
        return self._saying(replace(self._said(), by_hand=True))

    def environments(self, *names: str | Iterable[str]) -> Self:
        many = (list, tuple, set, frozenset)
        flat: list[Any] = [
            one for name in names for one in (name if isinstance(name, many) else [name])
        ]
        if not flat or not all(isinstance(name, str) and name for name in flat):
            raise refuse("names no environment", hint="write environments('production')")
        lines = {**self._said().lines, "environments": caller()}
        return self._saying(replace(self._said(), environments=tuple(flat), lines=lines))

    # ------------------------------------------------------------------ overlap and servers

    def without_overlapping(self, expires: Duration | None = None) -> Self:
        """`expires`: after so long a run is ended; a number counts minutes, as Laravel's does."""
        once = self._set(overlap="skip", max_running=1)
        if expires is None:
            return once
        if isinstance(expires, bool) or not isinstance(expires, str | int | float):
            raise refuse("expires is a number of minutes, or a text such as '2h'")
        return once._set(  # noqa: SLF001 - one step more
            timeout=expires if isinstance(expires, str) else f"{expires * 60:g}s"
        )

    def queue(self, most: int | None = None) -> Self:
        more = {} if most is None else {"queue_max": most}
        return self._set(overlap="queue", **more)

    def replacing(self) -> Self:
        return self._set(overlap="replace")

    def overlapping(self, most: int | None = None) -> Self:
        if most is None:
            return self._set(overlap="allow")
        return self._set(overlap="skip", max_running=number(most, 2, 10_000, "a number of runs"))

    def on_one_server(self) -> Self:
        return self._set(spread="any")

    def on_all_servers(self, rolling: int | None = None) -> Self:
        more = {} if rolling is None else {"rolling": rolling}
        return self._set(spread="all", **more)

    def spread(self, how: str) -> Self:
        return self._set(spread=how)

    def run_in_background(self) -> Self:
        return self._saying(self._said())

    def even_in_maintenance_mode(self) -> Self:
        return self._saying(replace(self._said(), in_maintenance=True))

    def run_on(self, labels: str | Mapping[str, object]) -> Self:
        return self._set(run_on=labels)

    def prefer(self, labels: str | Mapping[str, object]) -> Self:
        return self._set(prefer=labels)

    def pools(self, *pools: str | Mapping[str, object]) -> Self:
        return self._set(pools=list(pools))

    def lock(self, where: str, **more: object) -> Self:
        """`where`: a name in the fleet, a file that begins with /, or a URL."""
        form = "url" if "://" in str(where) else "file" if str(where)[:1] == "/" else "name"
        return self._set(lock={form: where, **more})

    def priority(self, number: int) -> Self:
        return self._set(priority=number)

    def min_gap(self, gap: Duration) -> Self:
        return self._set(min_gap=gap)

    # ------------------------------------------------------------------ what was missed, failures

    def catchup(self, mode: str = "latest", *, within: Duration | None = None) -> Self:
        more = {} if within is None else {"catchup_window": within}
        return self._set(catchup=mode, **more)

    def retries(self, most: int, *, backoff: Duration | None = None, **more: object) -> Self:
        waits = {} if backoff is None else {"backoff": backoff}
        return self._set(retries={"max": most, **waits, **more})

    def retry_on(self, *codes: int) -> Self:
        return self._set(retry_on=list(codes))

    def delivery(self, mode: str) -> Self:
        return self._set(delivery=mode)

    def pause_after_failures(self, count: int) -> Self:
        return self._set(pause_after_failures=count)

    # ------------------------------------------------------------------ the process

    def user(self, name: str) -> Self:
        return self._set(user=name)

    def cwd(self, path: str | Path) -> Self:
        return self._set(cwd=str(path))

    def env(self, **variables: object) -> Self:
        return self._merge("env", **variables)

    def secrets(self, *names: str | Mapping[str, object]) -> Self:
        return self._set(secrets=list(names))

    def timeout(self, limit: Duration) -> Self:
        return self._set(timeout=limit)

    # ------------------------------------------------------------------ output, mail, pings

    def send_output_to(self, path: str | Path) -> Self:
        return self._set(output_file=str(path), output_file_fresh=True)

    def append_output_to(self, path: str | Path) -> Self:
        return self._set(output_file=str(path), output_file_fresh=False)

    def email_output_to(self, *addresses: str) -> Self:
        return self._mail("always", addresses)

    def email_written_output_to(self, *addresses: str) -> Self:
        return self._mail("on_output", addresses)

    def email_output_on_failure(self, *addresses: str) -> Self:
        return self._mail("on_failure", addresses)

    def _mail(self, when: str, addresses: tuple[str, ...]) -> Self:
        wanted: tuple[object, ...] = addresses
        if not wanted or not all(isinstance(one, str) and one.strip() for one in wanted):
            raise refuse("names no address", hint="write email_output_to('ops@example.com')")
        return self._set(mailto=", ".join(addresses), mail=when)

    def ping_before(self, url: str) -> Self:
        return self._merge("ping", start=url)

    def ping_before_if(self, condition: bool, url: str) -> Self:  # noqa: FBT001 - Laravel's order
        return self.ping_before(url) if condition else self._saying(self._said())

    def then_ping(self, url: str) -> Self:
        return self._merge("ping", success=url, fail=url)

    def then_ping_if(self, condition: bool, url: str) -> Self:  # noqa: FBT001
        return self.then_ping(url) if condition else self._saying(self._said())

    def ping_on_success(self, url: str) -> Self:
        return self._merge("ping", success=url)

    def ping_on_success_if(self, condition: bool, url: str) -> Self:  # noqa: FBT001
        return self.ping_on_success(url) if condition else self._saying(self._said())

    def ping_on_failure(self, url: str) -> Self:
        return self._merge("ping", fail=url)

    def ping_on_failure_if(self, condition: bool, url: str) -> Self:  # noqa: FBT001
        return self.ping_on_failure(url) if condition else self._saying(self._said())

    # ------------------------------------------------------------------ functions around it

    def when(self, condition: Hook | bool) -> Self:  # noqa: FBT001 - a constant is one too
        if isinstance(condition, bool):
            return self if condition else self._switched_off("when(False)")
        return self._hook("when", condition)

    def skip(self, condition: Hook | bool) -> Self:  # noqa: FBT001
        if isinstance(condition, bool):
            return self._switched_off("skip(True)") if condition else self
        return self._hook("skip", condition)

    def before(self, function: Hook) -> Self:
        return self._hook("before", function)

    def after(self, function: Hook) -> Self:
        return self._hook("after", function)

    def then(self, function: Hook) -> Self:
        return self._hook("after", function)

    def on_success(self, function: Hook) -> Self:
        return self._hook("on_success", function)

    def on_failure(self, function: Hook) -> Self:
        return self._hook("on_failure", function)

    def _hook(self, kind: str, function: Hook) -> Self:
        said = self._said()
        name = function_name(function)
        hooks = {**said.hooks, kind: (*said.hooks.get(kind, ()), name)}
        lines = {
            **said.lines,
            "hooks": said.lines.get("hooks", caller()),
            f"hooks.{kind}": caller(),
        }
        return self._saying(replace(said, hooks=hooks, lines=lines))

    def _switched_off(self, step: str) -> Self:
        said = self._said()
        lines = {**said.lines, "enabled": caller()}
        return self._saying(replace(said, never=said.never or step, lines=lines))
