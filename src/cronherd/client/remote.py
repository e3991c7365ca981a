"""A running cronherd elsewhere, under the words of a fleet."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from cronherd.client.asking import ANSWER_BYTES
from cronherd.client.fleet import Json
from cronherd.client.messages import document_of, error_of, match_of, path_of
from cronherd.client.people import PeopleClient
from cronherd.domain.errors import Unavailable
from cronherd.domain.instant import format_instant


class Client(PeopleClient):
    """A fleet elsewhere. The server knows who asks, so `actor` is not sent.

    One connection per request: usable by many threads, and none is stale. Nothing is sent twice.
    """

    # Jobs

    def list_jobs(
        self,
        after: str | None = None,
        limit: int = 500,
        *,
        tag: str | None = None,
        node: str | None = None,
        q: str | None = None,
        sort: str | None = None,
    ) -> Json:
        query = {"after": after, "limit": limit, "tag": tag, "node": node, "q": q, "sort": sort}
        return self._ask("GET", "/jobs", query)

    def show_job(self, name: str) -> Json:
        return self._ask("GET", path_of("jobs", name))

    def create_job(
        self,
        definition: object,
        actor: str,
        source: str = "command",
        *,
        request_id: str | None = None,
    ) -> Json:
        del actor
        headers = {} if request_id is None else {"Idempotency-Key": request_id}
        return self._ask("POST", "/jobs", {"source": source}, [definition], headers)

    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json:
        del actor
        path = path_of("jobs", name)
        return self._ask("PUT", path, body=[definition], headers=match_of(version))

    def preview_job(self, definition: object, name: str | None = None) -> Json:
        return self._ask("POST", "/preview", body=[{"definition": definition, "job": name}])

    def list_versions(self, name: str, before: int | None = None, limit: int = 50) -> Json:
        query = {"before": before, "limit": limit}
        return self._ask("GET", path_of("jobs", name, "versions"), query)

    def rollback_job(self, name: str, to: int, version: int | None, actor: str) -> Json:
        del actor
        path = path_of("jobs", name, "rollback")
        return self._ask("POST", path, body=[{"to": to}], headers=match_of(version))

    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        del actor
        return self._ask("POST", path_of("jobs", name, "enable" if enabled else "disable"))

    def pause_job(
        self,
        name: str,
        actor: str,
        *,
        until: str | None = None,
        length: str | float | None = None,
    ) -> Json:
        del actor
        body = {"until": until, "for": length}
        return self._ask("POST", path_of("jobs", name, "pause"), body=[body])

    def resume_job(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("POST", path_of("jobs", name, "resume"))

    def delete_job(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", path_of("jobs", name))

    def apply_jobs(
        self,
        definitions: Sequence[object],
        source: str,
        actor: str,
        *,
        dry_run: bool,
        prune: bool = False,
        allow_empty: bool = False,
        adopt: bool = False,
        plan: str | None = None,
    ) -> Json:
        del actor
        body: Json = {"definitions": list(definitions), "source": source, "dry_run": dry_run}
        # A node of an earlier version does not know these.
        more = {"prune": prune, "allow_empty": allow_empty, "adopt": adopt, "plan": plan}
        body |= {key: value for key, value in more.items() if value}
        return self._ask("POST", "/apply", body=[body])

    # Runs

    def run_job(
        self,
        name: str,
        actor: str,
        *,
        request_id: str | None = None,
        force: bool = False,
        params: Mapping[str, object] | None = None,
        node: str | None = None,
    ) -> Json:
        del actor
        body: Json = {"request_id": request_id, "force": force}
        # A node of an earlier version does not know these.
        if params:
            body["params"] = dict(params)
        if node:
            body["node"] = node
        return self._ask("POST", path_of("jobs", name, "runs"), body=[body])

    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = 50,
        *,
        q: str | None = None,
    ) -> Json:
        query = {"job": job, "state": state, "outcome": outcome, "before": before, "limit": limit}
        return self._ask("GET", "/runs", {**query, "q": q})

    def show_run(self, prefix: str) -> Json:
        return self._ask("GET", path_of("runs", prefix))

    def cancel_run(self, prefix: str, actor: str) -> Json:
        del actor
        return self._ask("POST", path_of("runs", prefix, "cancel"))

    def deliver_run(self, run: str, attempt: int, token: str, worker: str) -> Json:
        query = {"attempt": attempt, "token": token, "worker": worker}
        return self._ask("POST", path_of("runs", run, "delivery"), query)

    def run_delivered(self, run: str, attempt: int, token: str, code: int | None) -> Json:
        query = {"attempt": attempt, "token": token, "code": code}
        return self._ask("PUT", path_of("runs", run, "delivery"), query)

    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = 64
    ) -> Json:
        query = {"attempt": attempt, "after": after, "limit": limit}
        return self._ask("GET", path_of("runs", prefix, "output"), query)

    def follow_output(self, prefix: str) -> Iterator[Json]:
        """Pieces as they come, without a time limit; raises Unavailable when they break off."""
        target = path_of("runs", prefix, "output") + "?follow=true"
        with closing(self._connect()) as connection:
            answer = self._send(connection, "GET", target, None, {})
            if answer.status != http.client.OK:
                raise error_of(answer.status, self._read(answer), self._name)
            if connection.sock is not None:
                connection.sock.settimeout(None)
            yield from self._lines(answer)

    def _lines(self, answer: http.client.HTTPResponse) -> Iterator[Json]:
        ended = False
        while line := self._read_line(answer):
            if not line.strip():
                continue  # nothing new: the server looks whether we are still here
            document = document_of(line, self._name)
            if "problem" in document:
                problem = document["problem"]
                raise error_of(problem["status"], json.dumps(problem).encode(), self._name)
            ended = "run" in document
            yield document
        if not ended:
            raise Unavailable("the output broke off: cronherd went away", code="no_answer")

    def _read_line(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            return answer.readline(ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from None

    # Slots

    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json:
        query = {"count": count, "from": format_instant(from_us)}
        return self._ask("GET", path_of("jobs", name, "next"), query)

    def skip_next(self, name: str, actor: str, *, count: int = 1) -> Json:
        del actor
        return self._ask("POST", path_of("jobs", name, "skip-next"), body=[{"count": count}])

    def undo_skip(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("POST", path_of("jobs", name, "undo-skip"))

    def backfill(
        self, name: str, actor: str, *, start: str, end: str, dry_run: bool = False
    ) -> Json:
        del actor
        body = {"from": start, "to": end, "dry_run": dry_run}
        return self._ask("POST", path_of("jobs", name, "backfill"), body=[body])

    def why(self, name: str, at: str | None = None) -> Json:
        return self._ask("GET", path_of("jobs", name, "why"), {"at": at})

    # The whole

    def timeline(self, start: str, end: str, step_s: int = 60, *, job: str | None = None) -> Json:
        query = {"from": start, "to": end, "step": step_s, "job": job}
        return self._ask("GET", "/timeline", query)

    def timers(self, limit: int = 500, cursor: str | None = None) -> Json:
        return self._ask("GET", "/timers", {"limit": limit, "cursor": cursor})

    def trends(self, jobs: Sequence[str], count: int = 30) -> Json:
        return self._ask("GET", "/trends", {"job": list(jobs), "count": count})

    def load(self, past_s: int, next_s: int, step_s: int) -> Json:
        return self._ask("GET", "/load", {"past": past_s, "next": next_s, "step": step_s})

    def status(self) -> Json:
        return self._ask("GET", "/status")

    def overview(self) -> Json:
        return self._ask("GET", "/overview")

    def list_nodes(self, limit: int = 1000, *, cursor: str | None = None) -> Json:
        return self._ask("GET", "/nodes", {"limit": limit, "cursor": cursor})

    def set_drained(self, name: str, actor: str, *, drained: bool) -> Json:
        del actor
        return self._ask("POST", path_of("nodes", name, "drain" if drained else "resume"))

    def remove_node(self, name: str, actor: str, *, confirm_dead: bool) -> Json:
        del actor
        query = {"confirm_dead": "true"} if confirm_dead else {}
        return self._ask("DELETE", path_of("nodes", name), query)

    def list_alerts(
        self, state: str | None = None, limit: int = 50, *, cursor: str | None = None
    ) -> Json:
        return self._ask("GET", "/alerts", {"state": state, "limit": limit, "cursor": cursor})

    def send_test(self, channel: str, target: str, actor: str) -> Json:
        del actor
        return self._ask("POST", "/alerts/test", body=[{"channel": channel, "target": target}])

    def retry_alerts(self, actor: str) -> Json:
        del actor
        return self._ask("POST", "/alerts/retry")

    def list_pools(self) -> Json:
        return self._ask("GET", "/pools")

    def show_pool(self, name: str) -> Json:
        return self._ask("GET", path_of("pools", name))

    def set_pool(self, name: str, permits: int, actor: str) -> Json:
        del actor
        return self._ask("PUT", path_of("pools", name), body=[{"permits": permits}])

    def remove_pool(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", path_of("pools", name))

    def list_secrets(self, limit: int = 1000, *, cursor: str | None = None) -> Json:
        return self._ask("GET", "/secrets", {"limit": limit, "cursor": cursor})

    def set_secret(self, name: str, value: str, actor: str) -> Json:
        del actor
        return self._ask("PUT", path_of("secrets", name), body=[{"value": value}])

    def remove_secret(self, name: str, actor: str, *, force: bool = False) -> Json:
        del actor
        query = {"force": "true"} if force else {}
        return self._ask("DELETE", path_of("secrets", name), query)

    def reseal_secrets(self, actor: str) -> Json:
        del actor
        return self._ask("POST", "/secrets/reseal")

    def list_locks(self) -> Json:
        return self._ask("GET", "/locks")

    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires: str | float
    ) -> Json:
        body = {"token": token, "holder": holder, "shared": shared, "expires": expires}
        return self._ask("POST", path_of("locks", name, "acquire"), body=[body])

    def renew_lock(self, name: str, token: str, *, expires: str | float) -> Json:
        body = {"token": token, "expires": expires}
        return self._ask("POST", path_of("locks", name, "renew"), body=[body])

    def release_lock(self, name: str, token: str, *, gap: str | float = 0) -> Json:
        body = {"token": token, "gap": gap}
        return self._ask("POST", path_of("locks", name, "release"), body=[body])

    def clear_lock(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", path_of("locks", name))

    def set_hold(self, actor: str, *, hold: bool) -> Json:
        del actor
        return self._ask("POST", f"/maintenance/{'on' if hold else 'off'}")

    def list_ledger(
        self,
        job: str | None = None,
        limit: int = 50,
        *,
        cursor: str | None = None,
        reason: str | None = None,
    ) -> Json:
        query = {"job": job, "limit": limit, "cursor": cursor, "reason": reason}
        return self._ask("GET", "/ledger", query)

    def audit(
        self,
        job: str | None = None,
        start: str | None = None,
        end: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Json:
        query = {"job": job, "from": start, "to": end, "after": after, "limit": limit}
        return self._ask("GET", "/audit", query)

    def list_events(
        self,
        limit: int = 50,
        *,
        cursor: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
    ) -> Json:
        query = {"limit": limit, "cursor": cursor, "kind": kind, "subject": subject}
        return self._ask("GET", "/events", query)

    def health(self) -> Json:
        return self._ask("GET", "/health")
