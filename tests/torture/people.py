"""What people do meanwhile, through the command line; each deed noted from asking to answer."""

import json
import random
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tests.engine import nursery
from tests.engine.host import say
from tests.torture.evidence import Deed, Notes, boot_ns
from tests.torture.load import Work
from tests.torture.node import Node, environment

PATIENCE_S = 40.0
REFUSED = {1, 3, 4, 5}


@dataclass(frozen=True, slots=True)
class Answer:
    code: int | None
    text: str
    error: str


class People:
    """One person at a terminal, with a way of their own to the database."""

    def __init__(self, desk: Node, notes: Notes, works: Sequence[Work], seed: int) -> None:
        self._desk = desk
        self._notes = notes
        self._works = list(works)
        self._chance = random.Random(seed)
        self._periods = {work.name: work.schedule for work in works}
        self.refused: list[str] = []

    def ask(self, *words: str) -> Answer:
        """One command to its end; code None when it did not end in time."""
        _, _, _, *arguments = self._desk.command(*words)
        try:
            done = nursery.run(arguments, env=environment(), timeout_s=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return Answer(None, "", "no answer")
        return Answer(done.returncode, done.stdout, done.stderr)

    def insist(self, *words: str) -> Answer:
        """A command that must work."""
        answer = self.ask(*words)
        if answer.code != 0:
            raise AssertionError(f"{' '.join(words)}: {answer.error or answer.text}")
        return answer

    def say(self, *words: str) -> None:
        """The same, much quicker, by this process and so by one thread at a time."""
        done = say(self._desk.command(*words))
        assert done.returncode == 0, done.stderr

    def do(self, kind: str, target: str, *words: str, note: str = "") -> Answer:
        """A deed. What is unclear afterwards (a lost answer) is noted as unknown."""
        from_ns = boot_ns()
        answer = self.ask(*words)
        ok = True if answer.code == 0 else None
        text = note
        if answer.code == 0 and kind == "run":
            text = f"{note}:{json.loads(answer.text)['run']['id']}"
        elif answer.code != 0:
            self.refused.append(f"{' '.join(words)}: {answer.error.strip()[-200:]}")
        deed = Deed(kind=kind, target=target, from_ns=from_ns, to_ns=boot_ns(), ok=ok, answer=text)
        self._notes.deed(deed)
        return answer

    # -------------------------------------------------------------- the deeds

    def pause(self, job: str) -> None:
        self.do("pause", job, "job", "pause", job)

    def resume(self, job: str) -> None:
        self._until_done("resume", job, "job", "resume", job)

    def disable(self, job: str) -> None:
        self.do("disable", job, "job", "disable", job)

    def enable(self, job: str) -> None:
        self._until_done("enable", job, "job", "enable", job)

    def drain(self, node: str) -> None:
        self.do("drain", node, "node", "drain", node)

    def undrain(self, node: str) -> None:
        self._until_done("undrain", node, "node", "resume", node)

    def hold(self) -> None:
        self.do("hold", "all", "maintenance", "on")

    def let_go(self) -> None:
        self._until_done("let_go", "all", "maintenance", "off")

    def bury(self, node: str) -> None:
        """Swear that a node is dead: its runs end, or start again elsewhere."""
        self.do("bury", node, "node", "remove", node, "--confirm-dead")

    def edit(self, job: str) -> None:
        """Another period, or the one it had."""
        period = self._chance.choice(["every 2s", "every 3s", "every 4s"])
        self.do("edit", job, "job", "edit", job, "--set", f"schedule={period}")

    def run_twice(self, job: str) -> None:
        """The same request twice: one run."""
        request = f"torture-{self._chance.getrandbits(48):012x}"
        words = ("job", "run", job, "--request-id", request, "-o", "json")
        self.do("run", job, *words, note=request)
        self.do("run", job, *words, note=request)

    def cancel(self, job: str) -> None:
        """Its newest run."""
        answer = self.ask("run", "list", "--job", job, "-o", "json")
        items = json.loads(answer.text)["items"] if answer.code == 0 else []
        live = [run["id"] for run in items if run["state"] != "finished"]
        if live:
            self.cancel_run(job, live[0])

    def cancel_run(self, job: str, run: str) -> None:
        self.do("cancel", job, "run", "cancel", "--yes", run)

    def _until_done(self, kind: str, target: str, *words: str) -> None:
        """What must not be left undone, or the rest of the torture tests nothing."""
        never = threading.Event()
        for _ in range(30):
            if self.do(kind, target, *words).code == 0:
                return
            never.wait(1)
