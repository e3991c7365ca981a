"""Nurse: a model of the supervisor, which starts, watches, fences and reports commands.

One life of the process; agents come and go. Its timers are its own: it kills at a fence whatever
its agent or the database do. It uses the real one's `Fence`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cronherd.supervisor.base import Ended, Gone, Output, Report, Start, Started, SupervisorGone
from cronherd.supervisor.timers import Fence
from tests.sim.evidence import Deed
from tests.sim.hub import Act
from tests.sim.spool import Key

if TYPE_CHECKING:
    from tests.sim.host import Host

SHORT_US = 10_000


@dataclass(slots=True)
class Ward:
    """A command that runs. Has what `Fence` asks of a run."""

    start: Start
    deed: Deed
    arrived_us: int
    ends_us: int
    exit_code: int
    stubborn: bool
    killed_by: str = ""
    limit_us: int | None = None

    @property
    def grace_us(self) -> int:
        return self.start.grace_us

    @property
    def key(self) -> Key:
        return self.start.run_id, self.start.attempt, self.start.token


@dataclass(slots=True)
class Order:
    """A start that has arrived."""

    start: Start
    arrived_us: int

    @property
    def grace_us(self) -> int:
        return self.start.grace_us


class Nurse:
    """supervisor.base.Supervisor."""

    def __init__(self, host: "Host", incarnation: str) -> None:
        self.host = host
        self.incarnation = incarnation
        self.living = True
        self._fence = Fence()
        self._wards: dict[tuple[str, int], Ward] = {}
        self._told = 0
        spool = host.spool
        for run_id, attempt, token in list(spool.intents):
            spool.add(Gone(run_id=run_id, attempt=attempt, token=token), host.hub.now_us)
        self.replay_until = 0
        self.live: frozenset[Key] = frozenset()
        self.unfenced = False
        self.greet()

    def greet(self) -> None:
        """Somebody says hello: tell what runs, and all that was not acknowledged."""
        self._told = 0
        self.replay_until = self.host.spool.position if self.host.spool.reports else 0
        self.live = frozenset(ward.key for ward in self._wards.values())
        self.unfenced = self._fence.held

    # ------------------------------------------------------------------ what the agent asks

    def start(self, starts: Sequence[Start]) -> None:
        self._must_live()
        self._soon(lambda: self._accept(list(starts)))

    def cancel(self, run_id: str, attempt: int) -> None:
        self._soon(lambda: self._cancel(run_id, attempt))

    def renewed(self, boot_us: int | None) -> None:
        self._soon(lambda: self._renewed(boot_us))

    def reports(self, timeout_s: float) -> tuple[list[Report], int]:
        """What is there; without any the time that was given passes for the caller alone."""
        fresh = self.host.spool.after(self._told)
        if not fresh and self.living and timeout_s > 0:
            self.host.linger(timeout_s)
            fresh = self.host.spool.after(self._told)
        if not fresh and not self.living:
            raise SupervisorGone("it is dead")
        if fresh:
            self._told = fresh[-1][0]
        return [report for _, report in fresh], self._told

    def ack(self, position: int) -> None:
        if self.living:
            self.host.spool.ack(position)

    def spool_bytes(self) -> int:
        return 0

    def close(self) -> None:
        """The connection drops: it goes on."""

    def shutdown(self) -> None:
        self._soon(lambda: self.end("shutdown"))

    @property
    def has_news(self) -> bool:
        """Whether a call of reports would not wait."""
        reports = self.host.spool.reports
        return not self.living or bool(reports and reports[-1][0] > self._told)

    @property
    def held(self) -> bool:
        """Whether it was told that the fleet holds, or is not yet awake."""
        return self._fence.held or self.host.nurse_thaw_us > self._now_us

    # ------------------------------------------------------------------ what happens to it

    def crash(self) -> None:
        """kill -9: the guardian ends the commands, nobody reports it."""
        self.living = False
        for ward in list(self._wards.values()):
            self.host.evidence.end(ward.deed, self._now_us, "crash", None)
        self._wards.clear()
        self.host.news()

    def end(self, reason: str) -> None:
        """Kill everything, say so, exit."""
        if not self.living:
            return
        for ward in list(self._wards.values()):
            ward.killed_by = ward.killed_by or reason
            self._over(ward, None)
        self.living = False
        self.host.news()

    def freeze(self, *, frozen: bool) -> None:
        """The whole machine stands still, or goes on: overdue kills come before anything else."""
        for ward in list(self._wards.values()):
            if not frozen:
                self._look_at_limit(ward)
                self._look_at_fence(ward)
            if ward.deed.ended_us is None:
                ward.deed.frozen = frozen

    # ------------------------------------------------------------------ inside

    @property
    def _now_us(self) -> int:
        return self.host.hub.now_us

    def _must_live(self) -> None:
        if not self.living:
            raise SupervisorGone("it is dead")

    def _soon(self, act: Act) -> None:
        """Now, or when it is no longer stopped; nothing when it is dead."""
        thaw_us = self.host.nurse_thaw_us
        if thaw_us > self._now_us:
            self.host.hub.at(thaw_us, lambda: self._soon(act))
        elif self.living:
            act()

    def _at_boot(self, boot_us: int, act: Act) -> None:
        # A drifting clock is rounded: at least a millisecond later, or it would look for ever.
        when_us = max(self.host.clock.true_of(boot_us), self._now_us + 1_000)
        self.host.hub.at(when_us, lambda: self._soon(act))

    def _accept(self, starts: list[Start]) -> None:
        for start in starts:
            key = (start.run_id, start.attempt, start.token)
            if key in self.host.spool.intents or (start.run_id, start.attempt) in self._wards:
                continue
            order = Order(start, self.host.clock.boot_us())
            self.host.spool.intend(key, self._now_us)
            problem = self._problem(order)
            if problem:
                self._report_end(start, None, None, "", problem)
            else:
                self._spawn(order)

    def _problem(self, order: Order) -> str:
        """The last look before it is executed."""
        start, boot_us = order.start, self.host.clock.boot_us()
        until_us = start.valid_until_boot_us
        if until_us is not None and boot_us > until_us:
            return "void"
        self.host.world.model.catch_up()
        if start.fence_us is not None and not self._fence.held:
            term_us = self._fence.term_us(order, start.fence_us)  # type: ignore[arg-type]
            if boot_us >= term_us:
                return "void"
        return "spawn_failed" if self.host.random.random() < self.host.spawn_trouble else ""

    def _spawn(self, order: Order) -> None:
        start, env = order.start, order.start.env
        now_us = self._now_us
        took_us, code, stubborn = self.host.life_of(env["CRONHERD_JOB_NAME"])
        deed = Deed(
            run_id=start.run_id,
            job=env["CRONHERD_JOB_NAME"],
            attempt=start.attempt,
            token=start.token,
            fence=int(env["CRONHERD_FENCE"]),
            cause=env["CRONHERD_CAUSE"],
            slot=env["CRONHERD_SCHEDULED_AT"],
            host=self.host.name,
            started_us=now_us,
        )
        ward = Ward(start, deed, order.arrived_us, now_us + took_us, code, stubborn)
        self._wards[start.run_id, start.attempt] = ward
        self.host.evidence.begin(deed)
        self.host.began(deed)
        if took_us > SHORT_US:
            self._post(
                Started(
                    run_id=start.run_id,
                    attempt=start.attempt,
                    token=start.token,
                    pid=7,
                    at_us=self.host.clock.now_us(),
                )
            )
        self.host.hub.at(ward.ends_us, lambda: self._soon(lambda: self._over(ward, code)))
        if start.timeout_us is not None:
            limit_us = now_us + start.timeout_us
            self.host.hub.at(limit_us, lambda: self._soon(lambda: self._term(ward, "timeout")))
            # Others count on it: after a suspend there is no grace beyond its own instant.
            ward.limit_us = self.host.clock.boot_us() + start.timeout_us + start.grace_us
            self._at_boot(ward.limit_us, lambda: self._look_at_limit(ward))
        self._look_at_fence(ward)

    def _cancel(self, run_id: str, attempt: int) -> None:
        ward = self._wards.get((run_id, attempt))
        if ward is not None:
            self._term(ward, "cancel")

    def _term(self, ward: Ward, reason: str) -> None:
        """TERM now; the stubborn only end with the KILL after the grace."""
        if ward.deed.ended_us is not None or ward.killed_by:
            return
        ward.killed_by = reason
        delay_us = ward.grace_us if ward.stubborn else min(ward.grace_us, 200_000)
        self.host.hub.after(delay_us, lambda: self._soon(lambda: self._over(ward, None)))

    def _renewed(self, boot_us: int | None) -> None:
        if self._fence.renew(boot_us, self.host.clock.boot_us()):
            for ward in list(self._wards.values()):
                self._look_at_fence(ward)

    def _look_at_limit(self, ward: Ward) -> None:
        """KILL at the end of its time and its grace, however much of both was slept."""
        late = ward.limit_us is not None and self.host.clock.boot_us() >= ward.limit_us
        if late and ward.deed.ended_us is None:
            ward.killed_by = ward.killed_by or "timeout"
            self._over(ward, None)

    def renewed_meanwhile(self, boot_us: int) -> None:
        """Renewals of a rhythm: they touch no timer."""
        self._fence.renew(boot_us, self.host.clock.boot_us())

    def _look_at_fence(self, ward: Ward) -> None:
        """TERM or KILL when it is time; else look again when it could be."""
        fence_us = ward.start.fence_us
        if ward.deed.ended_us is not None or fence_us is None or self._fence.held:
            return
        self.host.world.model.catch_up()
        boot_us = self.host.clock.boot_us()
        term_us = self._fence.term_us(ward, fence_us)  # type: ignore[arg-type]
        kill_us = self._fence.kill_us(ward, fence_us)  # type: ignore[arg-type]
        if boot_us >= kill_us:
            ward.killed_by = ward.killed_by or "fenced"
            self._over(ward, None)
            return
        if boot_us >= term_us:
            self._term(ward, "fenced")
        look_us = kill_us if boot_us >= term_us else term_us
        self._at_boot(look_us, lambda: self._look_at_fence(ward))

    def _over(self, ward: Ward, code: int | None) -> None:
        if ward.deed.ended_us is not None:
            return
        del self._wards[ward.start.run_id, ward.start.attempt]
        how = ward.killed_by or "exit"
        self.host.evidence.end(ward.deed, self._now_us, how, code)
        if code is not None and self.host.random.random() < 0.1:
            self._post(self._output(ward))
        self._report_end(ward.start, ward.deed, code, ward.killed_by, "")

    def _output(self, ward: Ward) -> Output:
        return Output(
            run_id=ward.start.run_id,
            attempt=ward.start.attempt,
            token=ward.start.token,
            seq=0,
            stream=1,
            at_us=self.host.clock.now_us(),
            dropped=0,
            chunk=b"said",
        )

    def _report_end(
        self, start: Start, deed: Deed | None, code: int | None, killed_by: str, error: str
    ) -> None:
        now_us = self.host.clock.now_us()
        took_us = 0 if deed is None else self._now_us - deed.started_us
        self._post(
            Ended(
                run_id=start.run_id,
                attempt=start.attempt,
                token=start.token,
                started_us=None if deed is None else now_us - took_us,
                ended_us=now_us,
                exit_code=code,
                signal=9 if killed_by else None,
                killed_by=killed_by,
                error=error,
                error_text=error,
                dropped=0,
                cpu_us=0,
                peak_rss_bytes=0,
            )
        )

    def _post(self, report: Report) -> None:
        self.host.spool.add(report, self._now_us)
        self.host.news()
