"""Pictures of every page in both themes and on a phone: `python3 dev.py shots [FOLDER [SECONDS]]`.

The cronherd that is made for it runs so long before. A person looks at the pictures; what a test
can tell, tests/browser tells. `--docs` writes the three that the docs show instead, as WebP.
"""

import base64
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.conftest import PHONE
from tests.browser.entrance import PASSWORD, first_link, log_in
from tests.browser.site import FLAGS, ROOT, Site, chromium, serve

DESKTOP = {"width": 1440, "height": 900}
WARM_S = 75.0  # until there are runs to look at, good ones and bad ones
LOOKS: dict[str, dict[str, Any]] = {
    "dark": {"color_scheme": "dark", "viewport": DESKTOP},
    "light": {"color_scheme": "light", "viewport": DESKTOP},
    "phone": {"color_scheme": "light", "viewport": PHONE, "device_scale_factor": 2},
}
PHONE_LOOK = {**LOOKS["phone"], "has_touch": True, "is_mobile": True}
PAGES = {
    "overview": "/?span=15m",
    "jobs": "/jobs",
    "jobs-columns": "/jobs?col=command&col=window&col=limit&col=took&col=worker&col=tags",
    "jobs-none": "/jobs?q=nothing-like-this",
    "jobs-fault": "/jobs?q=colour:red",
    "job": "/jobs/backup-postgres",
    "job-why": "/jobs/sync-inventory?at=#why",
    "job-night": "/jobs/nightly-report",
    "job-lock": "/jobs/deploy-site",
    "job-runs": "/jobs/purge-sessions/runs",
    "job-changes": "/jobs/send-digest/changes",
    "job-rollback": "/jobs/send-digest/rollback?to=1",
    "job-edit": "/jobs/nightly-report/edit",
    "job-text": "/jobs/nightly-report/edit?as=text",
    "job-new": "/jobs/new",
    "job-run": "/jobs/deploy-site/run",
    "job-delete": "/jobs/send-digest/delete",
    "runs": "/runs",
    "runs-bad": "/runs?q=state:error",
    "run-good": "/jobs/backup-postgres/last",
    "run-bad": "/jobs/purge-sessions/last",
    "run-running": "/jobs/deploy-site/last",
    "run-waiting": "/jobs/on-gpu/last",
    "timeline": "/timeline?span=1h",
    "timeline-nodes": "/timeline?by=node&span=1h",
    "nodes": "/nodes",
    "pools": "/pools",
    "pool": "/pools/database",
    "pool-closed": "/pools/licences",
    "locks": "/locks",
    "lock-free": "/locks?name=reports",
    "settings": "/settings",
    "people": "/settings/people",
    "tokens": "/settings/tokens",
    "secrets": "/settings/secrets",
    "alerts": "/settings/alerts",
    "events": "/settings/audit",
    "health": "/settings/health",
    "nowhere": "/nowhere",
    "no-job": "/jobs/no-such-job",
}
OVERLAID = {"keys", "palette", "columns", "chosen", "pause", "more"}  # lies over the window
DOCS = ROOT / "docs" / "pictures"
QUALITY = 0.82
JOBS = (ROOT / "tests" / "browser" / "shots.yaml").read_text("utf-8")
WEBP = """async ([picture, quality]) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").drawImage(image, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/webp", quality });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
}"""

Open = Callable[[str], Page]


def main(argv: list[str]) -> int:
    words = [word for word in argv if not word.startswith("--")]
    folder = Path(words[0]) if words else ROOT / "var" / "shots"
    folder.mkdir(parents=True, exist_ok=True)
    warm_s = float(words[1]) if len(words) > 1 else WARM_S
    with serve(JOBS) as site, sync_playwright() as tool:
        furnish(site)
        print(f"letting it run for {warm_s:.0f} s …", flush=True)
        threading.Event().wait(warm_s)
        browser = tool.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        taken = for_docs(browser, site) if "--docs" in argv else for_people(browser, site, folder)
        for path in taken:
            print(path, flush=True)
        browser.close()
    return 0


def furnish(site: Site) -> None:
    """What a fleet has beside jobs: pools, locks, accounts, versions."""
    fleet = site.fleet
    for name, permits in {"database": 2, "licences": 0, "mail": 4}.items():
        fleet.set_pool(name, permits, "ada")
    fleet.run_job("deploy-site", "ada", params={"version": "1.4.2", "stage": "staging"})
    fleet.acquire_lock("warehouse", "w" * 16, "import.py on depot-2", shared=True, expires="1h")
    for name, role in {"grace": "operator", "edsger": "viewer"}.items():
        fleet.add_account(name, role, "ada", password=PASSWORD)
    fleet.create_token("deploy-pipeline", "operator", "ada")
    fleet.set_secret("SHOP_PASSWORD", "correct horse", "ada")
    job = fleet.show_job("send-digest")
    changed = {**job["definition"], "name": "send-digest", "schedule": "30 6 * * 1-5"}
    fleet.edit_job("send-digest", changed, job["version"], "grace")
    fleet.pause_job("rotate-logs", "grace", length="2h")


def for_people(browser: Browser, site: Site, folder: Path) -> Iterator[Path]:
    """Every page in each look, and what only appears when somebody does something."""
    for look, options in LOOKS.items():
        context = browser.new_context(base_url=site.url, timezone_id="Europe/Berlin", **options)
        page = context.new_page()

        def take(name: str, page: Page = page, look: str = look) -> Path:
            page.wait_for_timeout(350)  # fonts, and the first update
            path = folder / f"{name}-{look}.png"
            page.screenshot(path=path, full_page=name not in OVERLAID)
            return path

        for name, address in PAGES.items():
            go(page, address)
            yield take(name)
        for name, doing in DOINGS.items():
            doing(page, site)
            yield take(name)
        context.close()
        yield from at_the_door(browser, site, folder, look)


def go(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("html.js", state="attached")


def at_the_door(browser: Browser, site: Site, folder: Path, look: str) -> Iterator[Path]:
    """What is seen by whoever comes by the port: the ways in, and what a viewer may not do."""
    options: dict[str, Any] = LOOKS[look]
    context: BrowserContext = browser.new_context(base_url=site.port_url, **options)
    page = context.new_page()

    def take(name: str) -> Path:
        path = folder / f"{name}-{look}.png"
        page.screenshot(path=path, full_page=True)
        return path

    page.goto("/jobs")
    yield take("login")
    page.goto(first_link(site.log.read_text("utf-8")))
    yield take("welcome")
    page.goto("/login")
    page.get_by_label("Name").fill("edsger")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Log in").click()
    yield take("login-wrong")
    log_in(page, "edsger")
    for name, address in {
        "viewer-job": "/jobs/backup-postgres",
        "viewer-pool": "/pools/database",
        "forbidden": "/jobs/backup-postgres/edit",
    }.items():
        page.goto(address)
        yield take(name)
    context.close()


# ------------------------------------------------------------------ what appears when one does it


def _keys(page: Page, site: Site) -> None:
    go(page, "/jobs")
    page.keyboard.press("?")


def _palette(page: Page, site: Site) -> None:
    go(page, "/jobs")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("s")
    page.wait_for_selector("#palette-list li")


def _columns(page: Page, site: Site) -> None:
    go(page, "/jobs")
    page.get_by_role("button", name="Columns").click()


def _chosen(page: Page, site: Site) -> None:
    go(page, "/jobs")
    for box in page.locator("td.pick input:visible").all()[:2]:
        box.check()


def _pause(page: Page, site: Site) -> None:
    go(page, "/jobs/backup-postgres")
    page.get_by_role("button", name="Pause…").click()


def _more(page: Page, site: Site) -> None:
    go(page, "/jobs/backup-postgres")
    page.locator("button[popovertarget=more]").click()


def _stale(page: Page, site: Site) -> None:
    go(page, "/jobs")
    page.evaluate(
        """() => {
          const banner = document.getElementById("stale");
          banner.hidden = false;
          Object.defineProperty(banner, "hidden", { get: () => false, set: () => {} });
        }"""
    )


def _review(page: Page, site: Site) -> None:
    go(page, "/jobs/nightly-report/edit")
    page.get_by_label("Description").fill("Runs at night only")
    page.get_by_label("Time limit").fill("30m")
    page.get_by_role("button", name="Review and save").click()


def _fault(page: Page, site: Site) -> None:
    go(page, "/jobs/new")
    page.get_by_label("Name").fill("report")
    page.get_by_label("Schedule", exact=True).fill("61 * * * *")
    page.get_by_label("Command").fill("report --all")
    page.wait_for_selector("#fault-schedule:not(:empty)")


def _conflict(page: Page, site: Site) -> None:
    go(page, "/jobs/summer-sale/edit")
    job = site.fleet.show_job("summer-sale")
    theirs = {**job["definition"], "name": "summer-sale", "description": f"By {job['version']}"}
    page.get_by_label("Command").fill("sale --begin")
    site.fleet.edit_job("summer-sale", theirs, job["version"], "grace")
    page.get_by_role("button", name="Review and save").click()


def _once(page: Page, site: Site) -> None:
    go(page, "/settings/tokens")
    page.get_by_label("Name").fill("pipeline")
    page.get_by_role("button", name="Make the token").click()


def _clocked(page: Page, site: Site) -> None:
    go(page, "/jobs/rebuild-search/last")
    go(page, page.url.partition("#")[0] + "?times=1&find=100")


def _said(page: Page, site: Site) -> None:
    go(page, "/jobs?q=backup")
    page.get_by_role("button", name="Run backup-postgres now").click()
    page.wait_for_selector("#said .banner")


DOINGS: dict[str, Callable[[Page, Site], None]] = {
    "keys": _keys,
    "palette": _palette,
    "columns": _columns,
    "chosen": _chosen,
    "pause": _pause,
    "more": _more,
    "stale": _stale,
    "review": _review,
    "fault": _fault,
    "conflict": _conflict,
    "once": _once,
    "run-clocked": _clocked,
    "said": _said,
}


# ------------------------------------------------------------------ the pictures of the docs


def for_docs(browser: Browser, site: Site) -> Iterator[Path]:
    """Three, small in bytes: the overview, the jobs, and the jobs on a phone."""
    for name, address, look in (
        ("overview", "/?span=15m", LOOKS["light"] | {"viewport": {"width": 1280, "height": 800}}),
        ("jobs", "/jobs", LOOKS["dark"]),
        ("phone", "/jobs?q=database", LOOKS["phone"]),
    ):
        context = browser.new_context(base_url=site.url, timezone_id="Europe/Berlin", **look)
        page = context.new_page()
        go(page, address)
        page.wait_for_timeout(600)
        picture = base64.b64encode(page.screenshot()).decode()
        other = context.new_page()  # of no site: the policy of ours forbids the picture
        other.goto("about:blank")
        path = DOCS / f"{name}.webp"
        path.write_bytes(base64.b64decode(other.evaluate(WEBP, [picture, QUALITY])))
        context.close()
        yield path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
