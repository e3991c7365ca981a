"""Nodes, and the hold over all of them."""

from collections.abc import Sequence

from cronherd.domain.errors import Conflict
from cronherd.domain.ident import SHORT
from cronherd.domain.instant import format_instant
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.node import Node
from cronherd.service.desk import PAGE_LIMIT, Desk, at_one_instant, cut
from cronherd.store.base import Claim, Ending
from cronherd.views import API_VERSION, Json, hold_view, node_view

NAMED = 5  # runs in a sentence


class NodeDesk(Desk):
    """What a person may ask of nodes."""

    @at_one_instant
    def list_nodes(self, limit: int = PAGE_LIMIT, *, cursor: str | None = None) -> Json:
        """The hosts of the fleet, and who holds it."""
        now_us = self._store.now_us()
        views = [node_view(node, now_us) for node in self._catalog.nodes()]
        hold = hold_view(self._catalog.meta())
        return {**cut(views, "name", cursor, limit), "hold": hold}

    def set_drained(self, name: str, actor: str, *, drained: bool) -> Json:
        """A drained node ends what it runs and starts nothing more; again changes nothing."""
        node = self._find_node(name)
        if node.drained != drained:
            self._catalog.set_drained(node.id, actor, drained=drained)
            self._wake()
            node = self._find_node(node.id)
        return node_view(node, self._store.now_us())

    def remove_node(self, name: str, actor: str, *, confirm_dead: bool) -> Json:
        """Forget a node that is not alive.

        `confirm_dead`: a person swears that nothing of it runs any more, so its runs end as lost,
        or get a new attempt where their job is delivered at least once.
        """
        node = self._find_node(name)
        now_us = self._store.now_us()
        if node.alive(now_us):
            until = format_instant(node.lease_us)
            raise Conflict(
                f"the node '{node.name}' is alive, at least until {until}",
                code="node_alive",
                hint=f"stop its agent first, or write: cronherd node drain {node.name}",
            )
        held = self._store.held_by(node.id)
        if held and not confirm_dead:
            raise Conflict(
                f"the node '{node.name}' is silent and holds {_runs(held)}",
                code="node_holds_runs",
                hint="when you are sure that nothing of it runs any more, repeat it with "
                "--confirm-dead",
            )
        endings = [_lost(claim, node, now_us, actor) for claim in held]
        recorded = self._catalog.remove_node(node, endings, actor)
        if recorded.freed:
            self._store.promote(recorded.freed)
        self._wake()
        return {
            "removed": node.name,
            "id": node.id,
            "lost": [end.run_id for end in endings if end.verdict.wait_us is None],
            "started_again": [end.run_id for end in endings if end.verdict.wait_us is not None],
        }

    def set_hold(self, actor: str, *, hold: bool) -> Json:
        """Hold the whole fleet, or let it go on; the same again changes nothing."""
        if (hold_view(self._catalog.meta()) is not None) != hold:
            self._catalog.set_hold(actor, hold=hold)
            self._wake()
        return {"api_version": API_VERSION, "hold": hold_view(self._catalog.meta())}


def _runs(held: Sequence[Claim]) -> str:
    ids = [claim.run_id[:SHORT] for claim in held[:NAMED]]
    more = f" and {len(held) - NAMED} more" if len(held) > NAMED else ""
    return f"{len(held)} run{'s' * (len(held) != 1)}: {' '.join(ids)}{more}"


def _lost(claim: Claim, node: Node, now_us: int, actor: str) -> Ending:
    """The end of a run whose node a person declared dead."""
    who = actor.removeprefix("local:")
    ending = lost_exit(
        claim.started_us, now_us, f"its node '{node.name}' was declared dead by {who}"
    )
    # A loss is tried again at once: no jitter.
    return claim.ended(ending, judge(claim.job, claim.attempt, ending, 0.0))
