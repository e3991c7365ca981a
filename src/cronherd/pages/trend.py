"""The last runs of a job as bars: height is the duration, shape and colour the outcome.

Written by hand and not by a template: a page of jobs has 1,500 of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from cronherd.pages.words import badge_of, say_plural

STEP, HIGH, FOOT = 5, 20, 22  # of a bar, in the picture's own units
LEAST = 3.0
# A run that went wrong stands on a mark.
MARK = '<rect x="{}" y="23" width="4" height="1" class="mark"/>'

# Where there were none yet.
NONE = '<path class="none" d="M0 21.5h{}"/>'


def draw_trend(runs: Sequence[Mapping[str, Any]], width: int = 30) -> Markup:
    """Runs, oldest first, in a picture for `width` of them."""
    if not runs:
        return Markup('<span class="muted">–</span>')
    longest = max(run["duration_s"] or 0 for run in runs) or 1
    parts, bad, x = list[str](), 0, (width - len(runs)) * STEP
    if x > 0:
        parts.append(NONE.format(x - 1))
    for run in runs:
        tone = badge_of(run["outcome"]).tone
        high = max(LEAST, HIGH * (run["duration_s"] or 0) / longest)
        parts.append(
            f'<rect x="{x}" y="{FOOT - high:.1f}" width="4" height="{high:.1f}" rx="1"'
            f' class="{tone}"/>'
        )
        if tone == "bad":
            bad += 1
            parts.append(MARK.format(x))
        x += STEP
    said = f"Last {say_plural(len(runs), 'run')}: {bad or 'none'} of them failed"
    head = f'<svg class="trend" viewBox="0 0 {width * STEP} 24" role="img" aria-label="{said}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704 - numbers and words of ours
