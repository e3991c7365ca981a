"""Pictures of every page in both themes and on a phone: `python3 dev.py shots [FOLDER [SECONDS]]`.

The cronherd that is made for it runs so long before. A person looks at the pictures; what a test
can tell, tests/browser tells.
"""

import sys
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import PHONE
from tests.browser.site import FLAGS, ROOT, Site, chromium, serve

DESKTOP = {"width": 1440, "height": 900}
WARM_S = 75.0  # until there are runs to look at, good ones and bad ones
LOOKS: dict[str, dict[str, Any]] = {
    "dark": {"color_scheme": "dark", "viewport": DESKTOP},
    "light": {"color_scheme": "light", "viewport": DESKTOP},
    "phone": {"color_scheme": "dark", "viewport": PHONE, "device_scale_factor": 2},
}
PAGES = {
    "overview": "/?span=15m",
    "jobs": "/jobs",
    "jobs-columns": "/jobs?col=command&col=window&col=limit&col=took&col=worker&col=tags",
    "jobs-none": "/jobs?q=nothing-like-this",
    "jobs-fault": "/jobs?q=colour:red",
    "runs": "/runs",
    "runs-bad": "/runs?q=state:error",
    "nodes": "/nodes",
    "settings": "/settings",
    "secrets": "/settings/secrets",
    "alerts": "/settings/alerts",
    "events": "/settings/audit",
    "health": "/settings/health",
    "nowhere": "/nowhere",
}
JOBS = (ROOT / "tests" / "browser" / "shots.yaml").read_text("utf-8")


def main(argv: list[str]) -> int:
    folder = Path(argv[0]) if argv else ROOT / "var" / "shots"
    folder.mkdir(parents=True, exist_ok=True)
    warm_s = float(argv[1]) if len(argv) > 1 else WARM_S
    with serve(JOBS) as site, sync_playwright() as tool:
        print(f"letting it run for {warm_s:.0f} s …", flush=True)
        threading.Event().wait(warm_s)
        browser = tool.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        for look, options in LOOKS.items():
            for path in take(browser, site, folder, look, options):
                print(path, flush=True)
        browser.close()
    return 0


def take(
    browser: Browser,
    site: Site,
    folder: Path,
    look: str,
    options: dict[str, Any],
) -> list[Path]:
    context = browser.new_context(base_url=site.url, timezone_id="Europe/Berlin", **options)
    page = context.new_page()
    made = []
    for name, address in PAGES.items():
        page.goto(address)
        page.wait_for_selector("html.js", state="attached")
        page.wait_for_timeout(600)  # fonts, and the first update
        made.append(folder / f"{name}-{look}.png")
        page.screenshot(path=made[-1], full_page=look == "phone")
    context.close()
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
