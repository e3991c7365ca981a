"""The parts that pages are made of: words, times, searches, messages, files."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from cronherd.domain.run import Outcome, RunState
from cronherd.domain.search import JOB_KEYS
from cronherd.domain.standing import Standing
from cronherd.pages.assets import assets
from cronherd.pages.base import environment
from cronherd.pages.forms import local
from cronherd.pages.said import COOKIE, Said, keep, read
from cronherd.pages.search import Box
from cronherd.pages.times import say_instant, zone_or
from cronherd.pages.words import (
    BADGES,
    badge_of,
    say_bytes,
    say_distance,
    say_duration,
    say_sentence,
)

ROOT = Path(__file__).resolve().parents[2]
VENDORED = (ROOT / "src/cronherd/pages/static/vendor", ROOT / "tests/browser/vendor")
NOON_US = 1_795_260_000_000_000 + 7_200_000_000  # 2026-11-21 13:20 UTC


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (0, "under 1 ms"), (0.0004, "under 1 ms"), (0.8, "800 ms"), (1, "1.0 s"),
        (41, "41 s"), (59.7, "1 min"), (252, "4 min 12 s"), (7_500, "2 h 5 min"),
        (273_600, "3 d 4 h"), (-5, "-5.0 s"),
    ],
)  # fmt: skip
def test_durations_in_two_units_at_most(seconds: float | None, words: str):
    assert say_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (3, "in 3 s"), (-3, "3 s ago"), (2_599, "in 43 min"), (-90_000, "1 d ago")],
)
def test_distances_in_one_unit(seconds: float, words: str):
    assert say_distance(seconds) == words


def test_a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is():
    told = ("no job was chosen", "'one' is paused", "db-1 is drained", "params.x: is needed", "")
    assert [say_sentence(text) for text in told] == ["No job was chosen", *told[1:]]


def test_sizes():
    assert [say_bytes(n) for n in (None, 0, 1023, 1536, 1 << 40)] == [
        "–", "0 B", "1023 B", "1.5 KiB", "1.0 TiB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        ("2026-11-21T13:00:00Z", "Europe/Berlin", "14:00:00 CET"),
        ("2026-11-20T13:00:00Z", "Europe/Berlin", "Fri 20 Nov 14:00 CET"),
        ("2025-07-20T13:00:00Z", "Europe/Berlin", "20 Jul 2025 15:00 CEST"),
        ("2026-11-21T13:00:00Z", "America/Sao_Paulo", "10:00:00 UTC-03"),
    ],
)
def test_each_time_says_its_zone(at: str, zone: str, words: str):
    assert say_instant(at, zone_or(zone, "UTC"), NOON_US) == words


def test_an_unknown_zone_is_utc():
    assert zone_or("../../etc/passwd", "UTC").key == "UTC"


def test_every_state_has_a_word_and_an_icon_that_is_there():
    wanted = {*RunState, *Outcome, *Standing, "alive", "drained", "silent", "stopped"}
    assert wanted <= set(BADGES)
    icons = (VENDORED[0] / "icons.svg").read_text()
    for badge in BADGES.values():
        assert f'id="{badge.icon}"' in icons, badge
    assert badge_of("new_word").word == "new word"


def test_every_icon_that_a_page_names_is_there():
    icons = (VENDORED[0] / "icons.svg").read_text()
    templates = ROOT / "src/cronherd/pages/templates"
    for path in templates.glob("*.html"):
        for name in re.findall(r'm\.icon\("([a-z0-9-]+)"', path.read_text()):
            assert f'id="{name}"' in icons, (path.name, name)


def test_all_templates_are_read_without_fault():
    names = environment().list_templates()
    assert len(names) > 15
    for name in names:
        environment().get_template(name)


@pytest.mark.parametrize("folder", VENDORED, ids=lambda path: path.parts[-3])
def test_what_is_shipped_of_others_is_what_was_fetched(folder: Path):
    told = json.loads((folder / "vendor.json").read_text())
    files = {name: digest for package in told for name, digest in package["files"].items()}
    assert {path.name for path in folder.iterdir()} == {*files, "vendor.json"}
    for name, digest in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    for package in told:
        assert any(name.endswith(".LICENSE") for name in package["files"])


# ------------------------------------------------------------------ searches


def test_chips_take_one_token_away():
    box = Box.read('state:error tag:"two words" free', JOB_KEYS)
    assert [(chip.text, chip.without) for chip in box.chips("/jobs")] == [
        ("state:error", "/jobs?q=tag%3A%22two+words%22+free"),
        ('tag:"two words"', "/jobs?q=state%3Aerror+free"),
        ("“free”", "/jobs?q=state%3Aerror+tag%3A%22two+words%22"),
    ]
    assert box.set("state", "paused") == 'tag:"two words" state:paused free'


def test_a_search_with_a_fault_keeps_its_text():
    box = Box.read("colour:red", JOB_KEYS)
    assert box.fault is not None
    assert box.text == "colour:red"


# ------------------------------------------------------------------ messages and files


@pytest.mark.parametrize(
    "value", ["", "x", "W10=", "bnVsbA==", "WyJvayIsIDVd", "WyJvayIsImEiXQ==", "é", "=" * 5_000]
)
def test_whatever_stands_in_the_cookie_is_no_message(value: str):
    header = [(b"cookie", f"{COOKIE}={value}".encode("latin-1"))]
    assert read(Request({"type": "http", "headers": header})) is None


def test_a_message_is_cut_to_what_a_cookie_holds(browser: TestClient):
    answer = Response()
    where = "/jobs/" + "%F0%9F%90%91" * 120
    keep(answer, Said(kind="ok", text="ä" * 5_000, link=where, word="Run"), secure=True)
    cookie = answer.headers["set-cookie"]
    assert len(cookie) < 4_096
    assert "HttpOnly" in cookie
    assert "Secure" in cookie


def test_local_addresses():
    assert local("/jobs?q=a+b&x=%20", "/") == "/jobs?q=a+b&x=%20"
    assert local("//evil", "/") == "/"


def test_files_are_kept_for_ever_under_their_mark(browser: TestClient):
    address = assets().url("app.css")
    answer = browser.get(address, headers={"accept-encoding": "gzip"})
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    again = browser.get(address, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    older = browser.get("/static/000000000000/app.css", headers={"accept-encoding": "identity"})
    assert older.headers["cache-control"] == "no-cache"
    assert older.content == answer.content


@pytest.mark.parametrize("name", ["../base.py", "nothing.css", "vendor/../../app.py", ""])
def test_no_other_file_is_served(browser: TestClient, name: str):
    assert browser.get(f"/static/{assets().mark}/{name}").status_code == 404


def test_a_page_may_load_nothing_from_elsewhere(browser: TestClient):
    answer = browser.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["cache-control"] == "no-store"
    static = ROOT / "src/cronherd/pages/static"
    for path in [*static.glob("*.js"), *static.glob("*.css")]:
        text = path.read_text().replace("http://www.w3.org", "")
        assert "http://" not in text, path
        assert "https://" not in text, path


def test_the_theme_is_chosen_without_a_script(browser: TestClient):
    page = browser.post("/prefs/theme", data={"theme": "dark", "back": "/nodes"})
    assert 'data-theme="dark"' in page.text
    assert 'data-theme="dark"' in browser.post("/prefs/theme", data={"theme": "'><x"}).text


def test_a_zone_is_chosen_or_refused(browser: TestClient):
    assert "Asia/Tokyo" in browser.post("/prefs/zone", data={"zone": "Asia/Tokyo"}).text
    assert "Unknown time zone" in browser.post("/prefs/zone", data={"zone": "Mars/Base"}).text
    assert "the browser&#39;s zone" in browser.post("/prefs/zone", data={"zone": ""}).text
