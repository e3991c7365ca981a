"""`gearman worker`: scripts for the jobs of several job servers, started and ended as runs are."""

import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cronherd.domain.errors import CronherdError, Unavailable
from cronherd.domain.gearmanconf import LEGACY
from cronherd.domain.receipt import Receipt, read_unique
from cronherd.gearman.worker import Job, Room, Worker
from cronherd.tools.asking import Answer, Asking, Fleet
from cronherd.tools.command import FAILED, Command, SpawnError, code_of_refusal
from cronherd.tools.conffile import LOOK_US, ConfFile
from cronherd.tools.crew import Clock, Crew, Rung, Turn
from cronherd.tools.errand import Errand
from cronherd.tools.syslog import Syslog

CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FOLLOW_US = 1_000_000
ALIVE_US = 5_000_000
PATIENCE_US = 60_000_000
"""So long a fleet that does not answer is asked again before the job fails."""
ENDED = 128 + signal.SIGTERM
_REFUSALS = {
    Receipt.SILENT: b"another worker took this run and says nothing any more",
    Receipt.OVER: b"this attempt of the run is over",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`fleet`: who is asked before a run of the fleet is started; None: nobody."""

    path: Path
    capacity: int
    grace_us: int
    name: str
    syslog: Path
    fleet: Fleet | None = None


class ScriptWorker:
    """One loop; everything that may take its time is a process, or a thread of Asking."""

    def __init__(self, wishes: Wishes, *, clock: Clock, say: Callable[[str], None]) -> None:
        """Raises Invalid for a conf.json that cannot be read."""
        self._wishes = wishes
        self._clock = clock
        self._say = say
        self._file = ConfFile(wishes.path, say)
        self._known = dict(self._file.conf.scripts)
        self._looked_us = clock.boot_us()
        self._syslog = Syslog(wishes.syslog, "cronherd", say)
        self._room = Room(wishes.capacity)
        self._tasks = self._worker(self._functions())
        # One at a time of each server: to leave a task to others is to leave its connection.
        self._legacy = self._worker([] if LEGACY in self._known else [LEGACY.encode()], each=1)
        self._asking = Asking() if wishes.fleet is not None else None
        self._errands: list[Errand] = []
        self._listening: list[int] = []
        self._stopped_by = 0
        self._hinted = False
        self._unanswered = False  # and somebody was told so

    def run(self, environ: Mapping[str, str]) -> int:
        """Until a signal ends it: the exit code."""
        with Crew(self._clock, CAUGHT, environ) as crew:
            while self._errands or not self._tasks.ending:
                self._tasks.flush()
                self._legacy.flush()
                self._listen(crew)
                turn = crew.wait(self._due_us())
                self._leave(crew)
                self._take(turn, crew)
                self._look_after(crew)
            self._tasks.close()
            self._legacy.close()
        return 128 + signal.SIGINT if self._stopped_by == signal.SIGINT else 0

    def _worker(self, functions: list[bytes], each: int | None = None) -> Worker:
        return Worker(
            self._file.conf.servers,
            functions,
            self._clock,
            self._receive,
            room=self._room,
            name=self._wishes.name.encode(),
            each=each,
            say=self._say if each is None else lambda _: None,  # one of the two says it
        )

    def _functions(self) -> list[bytes]:
        return [name.encode() for name in self._file.conf.scripts]

    # ---- waiting

    def _listen(self, crew: Crew) -> None:
        wanted = {**self._tasks.interests(), **self._legacy.interests()}
        if self._asking is not None:
            wanted[self._asking.descriptor] = select.POLLIN
        wanted |= {errand.pipe: select.POLLIN for errand in self._errands if errand.interest()}
        for descriptor, events in wanted.items():
            crew.listen(descriptor, events)
        self._listening = list(wanted)

    def _leave(self, crew: Crew) -> None:
        """Before anything is closed: its number may at once be that of a command's end."""
        for descriptor in self._listening:
            crew.leave(descriptor)
        self._listening.clear()

    def _due_us(self) -> int:
        dues = [self._tasks.due_us, self._legacy.due_us, self._looked_us + LOOK_US]
        dues += [errand.due_us for errand in self._errands]
        return min(due_us for due_us in dues if due_us is not None)

    def _take(self, turn: Turn, crew: Crew) -> None:
        for number in turn.signals:
            self._obey(number, crew)
        pipes = {errand.pipe: errand for errand in self._errands if errand.pipe >= 0}
        for descriptor in turn.ready:
            if descriptor in pipes:
                pipes[descriptor].pass_on()
        if self._asking is not None and self._asking.descriptor in turn.ready:
            self._asking.settle()
        self._tasks.turn(turn.ready)
        self._legacy.turn(turn.ready)
        for command in turn.ended:
            self._ended(command)

    def _look_after(self, crew: Crew) -> None:
        now_us = self._clock.boot_us()
        if now_us - self._looked_us >= LOOK_US:
            self._reload()
        for errand in list(self._errands):
            if errand.command is None and not errand.waits_for_answer and errand.due_us is None:
                self._begin(errand, crew)
            elif errand.due_us is not None and errand.due_us <= now_us:
                errand.due_us = None
                if errand.code is None:
                    self._ask(errand, crew)
                else:
                    self._record(errand, errand.code)

    def _reload(self) -> None:
        self._looked_us = self._clock.boot_us()
        if not self._file.changed():
            return
        # What was on its way when it went out of the file is still known.
        self._known.update(self._file.conf.scripts)
        self._say(f"{self._wishes.path} has changed: {len(self._file.conf.scripts)} tasks")
        servers = self._file.conf.servers
        self._tasks.serve(self._functions(), servers)
        old = [] if LEGACY in self._file.conf.scripts else [LEGACY.encode()]
        self._legacy.serve(old, servers)

    # ---- jobs

    def _receive(self, job: Job) -> None:
        worker = self._legacy if job.side in self._legacy.sides else self._tasks
        if self._stopped_by:
            worker.drop(job)  # its connection is about to be closed, and so others get it
            return
        self._reload()
        for errand in self._errands:
            if errand.is_same(job):
                errand.worker.drop(errand.job)
                errand.job, errand.worker = job, worker
                return
        legacy = worker is self._legacy
        task = (job.payload if legacy else job.function).decode("utf-8", "replace")
        script = (self._file.conf.scripts if legacy else self._known).get(task)
        if script is None:
            self._note(f"Task not found {task[:200]}; it is left to another worker")
            worker.give_back(job)
            return
        run = read_unique(job.unique.decode("ascii", "replace"))
        self._errands.append(Errand(job, worker, task, script, run))

    def _begin(self, errand: Errand, crew: Crew) -> None:
        """Start it; before that ask the fleet whose run it is."""
        if errand.run is not None and self._wishes.fleet is not None:
            errand.asked_us = self._clock.boot_us()
            self._ask(errand, crew)
            return
        if errand.run is not None and not self._hinted:
            self._hinted = True
            self._say("runs of a fleet come here, and nobody is asked for them: see --fleet")
        self._start(errand, crew)

    def _start(self, errand: Errand, crew: Crew) -> None:
        job = errand.job
        more = {
            "CRONHERD_GEARMAN_TASK": errand.task,
            "CRONHERD_GEARMAN_UNIQUE": job.unique.decode("utf-8", "replace"),
        }
        stdin = b"" if errand.worker is self._legacy else job.payload
        try:
            errand.start(crew, more, stdin)
        except SpawnError as error:
            self._conclude(errand, code_of_refusal(error), error.text.encode())
        except OSError as error:
            self._conclude(errand, FAILED, str(error).encode())

    def _ended(self, command: Command) -> None:
        errand = next(errand for errand in self._errands if errand.command is command)
        errand.drain()
        self._conclude(errand, command.code)

    def _conclude(self, errand: Errand, code: int, why: bytes = b"") -> None:
        """Its end is known here. The fleet hears of it first: then no delivery starts it again."""
        if self._asking is None or errand.run is None:
            self._finish(errand, code, why)
            return
        errand.code, errand.why = code, why
        errand.asked_us = self._clock.boot_us()
        self._record(errand, code)

    def _record(self, errand: Errand, code: int) -> None:
        fleet, run = self._wishes.fleet, errand.run
        assert self._asking is not None
        assert fleet is not None
        assert run is not None
        errand.waits_for_answer, errand.due_us = True, None

        def told(answer: Answer) -> None:
            now_us = self._clock.boot_us()
            if isinstance(answer, Unavailable) and self._has_patience(errand, now_us):
                errand.waits_for_answer, errand.due_us = False, now_us + FOLLOW_US
                return
            if isinstance(answer, CronherdError):
                self._say(f"the end of the task {errand.task} was not recorded: {answer}")
            self._finish(errand, code, errand.why)

        self._asking.ask(lambda: fleet.run_delivered(*run, errand.token, code), told)

    def _has_patience(self, errand: Errand, now_us: int) -> bool:
        return now_us - errand.asked_us < PATIENCE_US and not self._stopped_by

    def _finish(self, errand: Errand, code: int | None, why: bytes = b"") -> None:
        """Tell the job server, and the syslog."""
        self._errands.remove(errand)
        errand.close()
        now_us = self._clock.boot_us()
        lasted_s = (now_us - errand.began_us) / 1_000_000 if errand.began_us else 0
        if code == 0:
            errand.worker.complete(errand.job)
            self._note(f"Task {errand.task} executed successfully in {lasted_s:.3f} s")
            return
        reason = why or b"exit code %d" % (code or 0)
        errand.worker.fail(errand.job, reason)
        words = reason.decode("utf-8", "replace")
        self._note(f"Task {errand.task} not executed successfully ({words}) in {lasted_s:.3f} s")

    def _drop(self, errand: Errand) -> None:
        self._errands.remove(errand)
        errand.worker.drop(errand.job)

    def _note(self, text: str) -> None:
        if self._file.conf.debug:
            now_us = self._clock.now_us()
            self._syslog.note(f"{text} at {time.ctime(now_us // 1_000_000)}", now_us)

    # ---- the fleet

    def _ask(self, errand: Errand, crew: Crew) -> None:
        """For the right to start it; once it runs, say that it lives and hear whether it should."""
        fleet, run = self._wishes.fleet, errand.run
        assert self._asking is not None
        assert fleet is not None
        assert run is not None
        errand.waits_for_answer = True
        if errand.command is None:
            self._asking.ask(
                lambda: fleet.deliver_run(*run, errand.token, self._wishes.name),
                lambda answer: self._answered(errand, answer, crew),
            )
        else:
            self._asking.ask(
                lambda: fleet.run_delivered(*run, errand.token, None),
                lambda answer: self._heard(errand, answer, crew),
            )

    def _answered(self, errand: Errand, answer: Answer, crew: Crew) -> None:
        errand.waits_for_answer = False
        now_us = self._clock.boot_us()
        if isinstance(answer, CronherdError):
            if isinstance(answer, Unavailable) and self._has_patience(errand, now_us):
                errand.due_us = now_us + FOLLOW_US
                if not self._unanswered:
                    self._unanswered = True
                    self._say(f"{answer}; a run waits to be asked for, for a minute at most")
            else:
                self._finish(errand, None, f"the fleet cannot be asked: {answer}".encode())
            return
        self._unanswered = False
        receipt = Receipt(answer["receipt"])
        if receipt in {Receipt.WON, Receipt.UNKNOWN}:
            errand.run = errand.run if receipt is Receipt.WON else None
            if self._stopped_by:
                self._conclude(errand, ENDED)
                return
            self._start(errand, crew)
            if errand.run is not None and errand.command is not None:
                errand.due_us = now_us + ALIVE_US
        elif receipt is Receipt.ENDED:
            self._finish(errand, int(answer["code"]))
        elif receipt is not Receipt.TAKEN:
            self._finish(errand, None, _REFUSALS[receipt])
        elif errand.job.lost or self._stopped_by:
            self._drop(errand)
        else:
            errand.due_us = now_us + FOLLOW_US

    def _heard(self, errand: Errand, answer: Answer, crew: Crew) -> None:
        command = errand.command
        if command is None or command.done or errand not in self._errands:
            return
        errand.waits_for_answer = False
        errand.due_us = self._clock.boot_us() + ALIVE_US
        if not isinstance(answer, CronherdError) and not answer["wanted"]:
            crew.end(command, "unwanted", self._ladder())

    # ---- the end

    def _obey(self, number: int, crew: Crew) -> None:
        """HUP: take no more. TERM and INT: end what runs as well; again: at once."""
        again = bool(self._stopped_by)
        if not self._tasks.ending:
            self._tasks.end()
            self._legacy.end()
        if number == signal.SIGHUP:
            return
        self._stopped_by = number
        for errand in list(self._errands):
            if errand.command is None:
                if not errand.waits_for_answer:
                    self._drop(errand)
            elif errand.command.done:
                continue  # its end is being recorded
            elif again:
                crew.kill(errand.command, "stop")
            else:
                crew.end(errand.command, "stop", self._ladder())

    def _ladder(self) -> list[Rung]:
        return [Rung(signal.SIGTERM, self._wishes.grace_us)]
