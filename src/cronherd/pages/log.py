"""Lines of output as items of a list: written by hand and not by a template, a page has thousands.

static/log.js makes the same of what comes live.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import tzinfo

from markupsafe import Markup, escape

from cronherd.pages.output import Line
from cronherd.pages.times import say_clock


def draw_log(lines: Iterable[Line], hits: Collection[int], zone: tzinfo | None) -> Markup:
    """All lines, those whose numbers are `hits` marked; `zone` None: without their times."""
    drawn = (part for line in lines for part in _items(line, line.number in hits, zone))
    return Markup("\n".join(drawn))  # noqa: S704 - escaped


def _items(line: Line, hit: bool, zone: tzinfo | None) -> Iterator[str]:  # noqa: FBT001 - private
    if line.first and line.attempt > 1:
        yield f'<li class="note">Attempt {line.attempt}</li>'
    if line.note:
        yield f'<li class="note">{escape(line.note)}</li>'
        return
    wrong = line.stream == "stderr"
    words = " ".join(word for word, holds in (("err", wrong), ("hit", hit)) if holds)
    look = f' class="{words}"' if words else ""
    clock = ""
    if zone is not None:
        at = "" if line.at is None else say_clock(line.at, zone)
        clock = f'<time datetime="{escape(line.at or "")}">{at}</time>'
    said = '<span class="sr">stderr: </span>' if wrong else ""
    text = "".join(
        f'<span class="{classes}">{escape(text)}</span>' if classes else escape(text)
        for text, classes in line.spans
    )
    yield (
        f'<li id="L{line.number}"{look}><a class="ln" href="#L{line.number}">{line.number}</a>'
        f'{clock}<span class="tx">{said}{text}</span></li>'
    )
