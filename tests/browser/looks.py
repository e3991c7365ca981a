"""What a test can tell of the look of a page: axe, its width, the size of what is touched."""

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_RUN = """([rules, exclude]) => axe.run(
  {include: [['html']], exclude: exclude.map((each) => [each])},
  {runOnly: rules, resultTypes: ['violations']})"""
# What says again and again what the first of its kind says.
REPEATED = ("tbody > tr:nth-child(n+6)", ".log li:nth-child(n+6)", ".lane:nth-child(n+4) .chart a")
# What is touched; a link within a sentence has the height of its line, as WCAG allows.
_SMALL = """(least) => [...document.querySelectorAll(
  "a.btn, button, summary, .link, .name > a, .tabs a, .seg a, select, .choice, "
  + "input:not([type=hidden], [type=checkbox], [type=radio]), textarea"
)].filter((each) => each.checkVisibility({ visibilityProperty: true }))
  .filter((each) => !each.closest(".sr, .skip"))
  .map((each) => [each.outerHTML.slice(0, 120), each.getBoundingClientRect()])
  .filter(([, box]) => box.height < least - 0.5 || box.width < least - 0.5)
  .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""
TOUCH_PX = 44


@cache
def _axe() -> str:
    return AXE.read_text("utf-8")


def violations(page: Page, *, repeated: bool = True) -> list[str]:
    """What axe finds on the page as it is now; of what is repeated maybe only in the first ones."""
    page.evaluate(f"() => {{ if (!window.axe) {{ {_axe()} }} }}")
    found = page.evaluate(_RUN, [list(RULES), [] if repeated else list(REPEATED)])
    return [
        f"{each['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def too_wide(page: Page) -> int:
    """How many pixels it is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, wide)


def too_small(page: Page) -> list[str]:
    """What a finger does not hit."""
    small: list[str] = page.evaluate(_SMALL, TOUCH_PX)
    return small
