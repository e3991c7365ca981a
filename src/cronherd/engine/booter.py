"""Booter: after a start of its host a node asks for the runs of all @reboot jobs that it fits.

Once per host and start, however often the agent begins again: the request is named after both. It
is made before the node's first beat says that this start is settled, so a crash in between repeats
it. A node that has never been here before counts as started when its host is.
"""

import logging
from collections.abc import Callable

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.instant import MINUTE_US
from cronherd.domain.node import Node
from cronherd.domain.place import place_matches
from cronherd.domain.run import Cause
from cronherd.store.base import Store
from cronherd.store.facts import BootJob

log = logging.getLogger("cronherd")

# A host that is new to the fleet and has been up for longer was not started just now.
FRESH_US = 10 * MINUTE_US
_DEDUP = 64


class Booter:
    """Run once at the beginning of a life, behind the reaper."""

    def __init__(self, store: Store, *, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id

    def fire(self, node: Node, settled_boot: str, boot_us: int) -> int:
        """Ask for the runs if the host was started since; how many were asked for."""
        started = boot_us < FRESH_US if not settled_boot else settled_boot != node.boot_id
        if not started:
            return 0
        fitting = [
            found
            for found in self._store.boot_jobs()
            if place_matches(found.job.place, node.place_labels)
        ]
        return sum(self._ask(found, node) for found in fitting)

    def _ask(self, found: BootJob, node: Node) -> bool:
        if found.paused:
            self._refused(found, node, "the job is paused")
            return False
        dedup = f"b:{node.id}:{node.boot_id.replace('-', '')}"[:_DEDUP]
        try:
            answer = self._store.request_run(
                found.id,
                self._new_id(),
                dedup,
                Cause.BOOT,
                force=False,
                target=(node.id, node.name),
            )
        except (Conflict, NotFound) as error:
            self._refused(found, node, str(error))
            return False
        return not answer.repeated

    def _refused(self, found: BootJob, node: Node, why: str) -> None:
        log.warning("'%s' does not run at the start of this host: %s", found.job.name, why)
        self._store.note(EventKind.BOOT_RUN_REFUSED, found.job.name, f"node:{node.name}", why)
