"""D3.8: the front page of examples/frontpage, with ten sources that hang, fail and work."""

import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.conftest import environment, until

RECIPE = Path(__file__).resolve().parents[2] / "examples" / "frontpage"
MOST = 3
GOOD = ["bus", "jobs", "news"]
HANGING = ["fog", "hail", "rain", "snow"]
FAILING = ["stocks"]
FICKLE = "tides"  # works until the file `broken` is there
SLOW = "weather"
TALK = """#!/bin/sh
n=$(($(cat "$0.count" 2>/dev/null || echo 0) + 1)); echo $n > "$0.count"
echo "S {name}" >> {log}
trap 'echo "E {name}" >> {log}' EXIT
trap 'exit 1' TERM
{act}
echo "{name} says $n"
"""
ACTS = {
    **dict.fromkeys(HANGING, "sleep 25 & wait $!"),
    **dict.fromkeys(FAILING, "echo 'half a part'; exit 3"),
    FICKLE: "[ ! -e {folder}/broken ] || exit 4",
    SLOW: "sleep 0.3",
}


class Site:
    """The recipe at work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        sources = folder / "sources"
        sources.mkdir()
        # What counts lies elsewhere: each program in SOURCES is a part.
        hidden = folder / "programs"
        hidden.mkdir()
        for name in [*GOOD, *HANGING, *FAILING, FICKLE, SLOW]:
            act = ACTS.get(name, ":").format(folder=folder)
            _program(hidden / name, TALK.format(name=name, log=self.log, act=act))
            _program(sources / name, f"#!/bin/sh\nexec {hidden / name}\n")
        tool = folder / "bin"
        tool.mkdir()
        _program(tool / "cronherd", f'#!/bin/sh\nexec {sys.executable} -m cronherd "$@"\n')
        self.environ = environment(folder) | {
            "PATH": f"{tool}:{os.environ['PATH']}",
            "SOURCES": str(sources),
            "SITE": str(folder / "site"),
            "MOST": str(MOST),
            "PACE": "0.2",
            "LIMIT": "2",
        }

    def run(self, script: str, *words: str) -> None:
        subprocess.run([RECIPE / script, *words], env=self.environ, check=True, timeout=20)

    def page(self) -> str:
        index = self.folder / "site" / "index.html"
        return index.read_text() if index.exists() else ""

    def asked(self, name: str) -> int:
        count = self.folder / "programs" / f"{name}.count"
        return int(count.read_text() or 0) if count.exists() else 0


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    serving = subprocess.Popen(
        [RECIPE / "serve"], env=site.environ, stderr=subprocess.DEVNULL, start_new_session=True
    )
    yield site
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(20) == 0


def test_a_source_that_is_being_asked_is_not_asked_again(tmp_path: Path):
    """D3.8: each part has a lock of its own."""
    site = Site(tmp_path)
    site.environ["LIMIT"] = "20"
    for folder in ("parts", "locks", "asked"):
        (tmp_path / "site" / folder).mkdir(parents=True)
    first = subprocess.Popen([RECIPE / "part", "fog"], env=site.environ)
    until(site.log.exists)
    second = subprocess.run([RECIPE / "part", "fog"], env=site.environ, check=False, timeout=20)
    assert second.returncode == 75
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) != 0
    assert site.log.read_text().count("S fog") == 1
    assert not (tmp_path / "site" / "parts" / "fog.html").exists()


@pytest.mark.timeout(120)
def test_a_page_of_slow_sources_is_served_whatever_they_do(site: Site):
    """D3.8: what works is shown, what does not keeps its last good result, and few hang."""
    shown = [*GOOD, FICKLE, SLOW]
    until(lambda: all(f"{name} says" in site.page() for name in shown))
    assert not any(name in site.page() for name in (*HANGING, *FAILING))
    (site.folder / "broken").touch()
    before = site.asked(FICKLE)
    site.run("ask", FICKLE)
    until(lambda: site.asked(FICKLE) > before)
    bus = site.asked("bus")
    site.run("ask", "bus")
    until(lambda: f"bus says {bus + 1}" in site.page() or site.asked("bus") > bus + 1)
    assert f"{FICKLE} says" in site.page()  # its last good result
    until(lambda: all(site.asked(name) for name in HANGING))
    running: Counter[str] = Counter()
    for line in site.log.read_text().splitlines():
        event, name = line.split()
        running[name] += 1 if event == "S" else -1
        assert running[name] <= 1, f"{name} was asked twice at once"
        assert running.total() <= MOST, f"{running} at once"
