"""What Prometheus reads: labels are states that the program knows, and bounded lists of names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cronherd import __version__
from cronherd.api.hub import Served
from cronherd.domain.standing import Standing

__all__ = ["CONTENT_TYPE", "numbers_of"]

NAMED_JOBS = 100  # in each kind of trouble
NAMED_NODES = 500


def numbers_of(fleet: Served, viewers: int, looks: int = 0) -> bytes:
    """The text of a scrape. `looks`: how often live views had the database read for them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(fleet, viewers, looks))
    return generate_latest(registry)


class _Numbers(Collector):
    """Read anew for each scrape: a few cheap statements, whatever there is."""

    def __init__(self, fleet: Served, viewers: int, looks: int) -> None:
        self._fleet = fleet
        self._viewers = viewers
        self._looks = looks

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        gauges = self._fleet.gauges(NAMED_JOBS)
        yield _gauge("info", "Which cronherd answers.", ["version"], {(__version__,): 1})
        yield _gauge(
            "hold",
            "1 while maintenance holds the fleet.",
            [],
            {(): int(gauges["hold"] is not None)},
        )
        yield from self._counted(gauges["counts"], gauges["troubles"])
        yield from self._nodes()
        alerts = self._fleet.list_alerts(None, 1)["counts"]
        posts = {(state,): number for state, number in alerts.items()}
        yield _gauge("alerts", "Messages of the outbox, by state.", ["state"], posts)
        text = "Looks at the database for all live views together."
        yield CounterMetricFamily("cronherd_live_looks", text, value=self._looks)
        viewers = {(): self._viewers}
        yield _gauge("live_views", "Streams that this process serves.", [], viewers)

    def _counted(
        self, counts: Mapping[str, int], troubles: Mapping[str, Sequence[str]]
    ) -> Iterator[Metric]:
        yield _gauge("jobs", "Jobs there are.", [], {(): counts["jobs"]})
        standing = {(word.value,): counts[word] for word in Standing}
        yield _gauge(
            "jobs_standing",
            "Jobs that stand so; one may stand in several ways.",
            ["standing"],
            standing,
        )
        runs = {
            (key.removeprefix("runs_"),): number
            for key, number in counts.items()
            if key.startswith("runs_")
        }
        yield _gauge("runs_live", "Runs that have not ended, by state.", ["state"], runs)
        named = {(word, job): 1 for word, jobs in troubles.items() for job in jobs}
        yield _gauge(
            "job_trouble", "1 for each job in error or overdue.", ["standing", "job"], named
        )

    def _nodes(self) -> Iterator[Metric]:
        nodes = self._fleet.list_nodes(NAMED_NODES)["items"]
        for key, name, text in (
            ("alive", "node_up", "1 while the node's lease runs."),
            ("drained", "node_drained", "1 while the node is drained."),
            ("live_runs", "node_runs", "Runs the node has."),
            ("capacity", "node_capacity", "Runs the node takes at once."),
        ):
            found = {(node["name"],): int(node.get(key) or 0) for node in nodes}
            yield _gauge(name, text, ["node"], found)


def _gauge(name: str, text: str, labels: list[str], values: Mapping[Any, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"cronherd_{name}", text, labels=labels)
    for words, number in values.items():
        family.add_metric(list(words), number)
    return family
