"""The last runs of a job as bars: height is the duration, shape and colour the outcome.

Written by hand and not by a template: a page of jobs has 1,500 of them, so all bars of one tone
are one path.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from cronherd.pages.words import badge_of, say_plural

STEP, WIDE, HIGH, FOOT = 5, 4, 20, 22  # of a bar, in the picture's own units
LEAST = 3.0
MARK = 23  # a run that went wrong stands on a mark
EMPTY = Markup('<span class="muted">–</span>')


def draw_trend(runs: Sequence[Mapping[str, Any]], width: int = 30) -> Markup:
    """Runs, oldest first, in a picture for `width` of them."""
    if not runs:
        return EMPTY
    longest = max(run["duration_s"] or 0 for run in runs) or 1
    paths: dict[str, list[str]] = {}
    x = (width - len(runs)) * STEP
    if x > 0:  # where there were none yet
        paths["none"] = [f"M0 21.5h{x - 1}"]
    for run in runs:
        tone = badge_of(run["outcome"]).tone
        high = max(LEAST, HIGH * (run["duration_s"] or 0) / longest)
        paths.setdefault(tone, []).append(f"M{x} {FOOT}v-{high:.1f}h{WIDE}V{FOOT}z")
        if tone == "bad":
            paths.setdefault("mark", []).append(f"M{x} {MARK}h{WIDE}v1h-{WIDE}z")
        x += STEP
    bad = len(paths.get("mark", ()))
    said = f"Last {say_plural(len(runs), 'run')}: {bad or 'none'} of them failed"
    drawn = "".join(f'<path class="{tone}" d="{"".join(d)}"/>' for tone, d in paths.items())
    return Markup(  # noqa: S704 - numbers and words of ours
        f'<svg class="trend" viewBox="0 0 {width * STEP} 24" role="img" aria-label="{said}">'
        f"{drawn}</svg>"
    )
