"""The smallest parts of pages, of which one page has hundreds: written by hand, not by a template.

Each says the same for the same words, so it is written once and kept.
"""

from functools import lru_cache

from markupsafe import Markup, escape

from cronherd.pages.assets import assets
from cronherd.pages.words import badge_of

ICON = Markup('<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>')
BADGE = Markup('<span class="badge {} is-{}"{}>{}{}</span>')
TITLE = Markup(' title="{}"')
KEPT = 1_024


@lru_cache(KEPT)
def draw_icon(name: str, classes: str = "") -> Markup:
    """A symbol of icons.svg."""
    return ICON.format(classes, assets().url("vendor/icons.svg"), name)


@lru_cache(KEPT)
def draw_badge(state: str, title: str = "") -> Markup:
    """A state: word, icon and colour, so that none of them stands alone."""
    badge = badge_of(state)
    said = TITLE.format(title) if title else ""
    return BADGE.format(badge.tone, state, said, draw_icon(badge.icon), badge.word)


def draw_order(
    address: str, word: str, symbol: str, *, key: str = "", only_icon: bool = False
) -> Markup:
    """A button of the page's form `order`: there is one, however many buttons send it."""
    said = escape(word)
    look = f' title="{said}"' if only_icon else ""
    keyed = f' data-key="{key}"' if key else ""
    told = f'<span class="sr">{said}</span>' if only_icon else f"<span>{said}</span>"
    return Markup(  # noqa: S704 - escaped
        f'<button class="btn quiet{" small" if only_icon else ""}" form="order"'
        f' formaction="{escape(address)}"{keyed}{look}>{draw_icon(symbol)}{told}</button>'
    )
