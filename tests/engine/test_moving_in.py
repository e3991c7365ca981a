"""A real crontab moves in by the real commands, runs once per slot, and moves in again."""

import json
from typing import Any

from tests.engine.host import Host, wait_until

CRONTAB = """\
SHELL=/bin/bash
PATH=/usr/bin:/bin
MAILTO=ops
COLOUR=blue
# Tell the colour
* * * * * echo "$COLOUR $0" >> {evidence}
# Reads what stands behind the percent sign
0 3 * * 1-5 cat%first%second
30 2 31 2 * never
@never echo up
"""


def _jobs(host: Host) -> dict[str, dict[str, Any]]:
    return {job["name"]: host.client.show_job(job["name"]) for job in _list(host)}


def _list(host: Host) -> list[dict[str, Any]]:
    listed = host.say("job", "list", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    items: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
    return items


def test_a_crontab_is_imported_line_by_line_and_updates_the_second_time(host: Host) -> None:
    host.up()
    text = CRONTAB.format(evidence=host.evidence)
    done = host.say("import", "crontab", "-", "--yes", stdin=text)
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "never" in told
    assert "@never" in told
    jobs = _jobs(host)
    assert set(jobs) == {"tell-the-colour", "reads-what-stands-behind-the-percent-sign"}
    definition = jobs["tell-the-colour"]["definition"]
    assert (definition["overlap"], definition["catchup"]) == ("allow", "none")
    assert definition["env"]["COLOUR"] == "blue"
    assert definition["shell"] == "/bin/bash"
    stdin = jobs["reads-what-stands-behind-the-percent-sign"]["definition"]["stdin"]
    assert stdin == "first\nsecond\n"
    again = host.say("import", "crontab", "-", "--yes", stdin=text)
    assert again.returncode == 0, again.stderr
    assert {job["version"] for job in _list(host)} == {1}
    changed = text.replace("COLOUR=blue", "COLOUR=red")
    assert host.say("import", "crontab", "-", "--yes", stdin=changed).returncode == 0
    assert _jobs(host)["tell-the-colour"]["definition"]["env"]["COLOUR"] == "red"
    assert len(_list(host)) == 2


def test_an_imported_line_runs_as_cron_would_run_it(host: Host) -> None:
    host.up()
    text = CRONTAB.format(evidence=host.evidence)
    assert host.say("import", "crontab", "-", "--yes", stdin=text).returncode == 0
    run = host.run("job", "run", "tell-the-colour", "--wait")
    assert run.returncode == 0, run.stderr
    wait_until(host.evidence.exists, "the command left nothing")
    assert host.evidence.read_text() == "blue /bin/bash\n"
    fed = host.say("job", "run", "reads-what-stands-behind-the-percent-sign", "--follow")
    assert fed.stdout == "first\nsecond\n"


def test_timers_and_next_agree(host: Host) -> None:
    host.up()
    text = CRONTAB.format(evidence=host.evidence)
    assert host.say("import", "crontab", "-", "--yes", stdin=text).returncode == 0
    timers = json.loads(host.say("timers", "-o", "json").stdout)["items"]
    for timer in timers:
        told = json.loads(host.say("next", timer["job"], "-n", "1", "-o", "json").stdout)
        assert told["slots"] == [timer["next_at"]]
