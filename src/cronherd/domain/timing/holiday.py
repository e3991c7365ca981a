"""Public holidays of countries and their parts: the only place that names the library.

It loads when a job first asks: importing it costs some 50 ms and each country's rules a little.
"""

import warnings
from datetime import date
from functools import lru_cache
from threading import Lock

from cronherd.domain.errors import Invalid

# The library shows its doubts about far years as warnings, and the switch for them is global.
_QUIET = Lock()


def check_region(text: str) -> str:
    """The region as it is written in definitions: `DE`, `DE-BY`. Raises Invalid."""
    country, _, part = text.strip().upper().partition("-")
    known = _countries()
    if country not in known:
        hint = _near(text.strip(), country, known)
        raise Invalid(
            f"no holidays are known for '{text[:40]}'", code="unknown_holidays", hint=hint
        )
    parts = {name.upper(): name for name in known[country]}
    if part and part not in parts:
        named = ", ".join(sorted(parts)[:20])
        hint = f"use one of {named}" if parts else f"write {country}: it has no parts here"
        text = f"{country} has no part '{part[:40]}' with holidays of its own"
        raise Invalid(text, code="unknown_holidays", hint=hint)
    return f"{country}-{part}" if part else country


@lru_cache(maxsize=2_048)
def holidays_of(region: str, year: int) -> frozenset[date]:
    """The dates of one year; `region` as `check_region` gives it."""
    import holidays  # noqa: PLC0415 - only where a job asks for it

    country, _, part = region.partition("-")
    names = {name.upper(): name for name in _countries()[country]}
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = holidays.country_holidays(
            country, subdiv=names[part] if part else None, years=year, expand=False
        )
    return frozenset(found)


@lru_cache(maxsize=1)
def _countries() -> dict[str, list[str]]:
    import holidays  # noqa: PLC0415

    return holidays.list_supported_countries(include_aliases=True)


def _near(text: str, country: str, known: dict[str, list[str]]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only on the way to an error

    names = _names()
    close = get_close_matches(text.lower().replace(" ", ""), names, n=1, cutoff=0.7)
    if close:
        return f"did you mean {names[close[0]]}?"
    codes = get_close_matches(country, sorted(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(codes)}?" if codes else "write a code such as DE or DE-BY"


def _names() -> dict[str, str]:
    """The English names that the library has for countries, and their codes."""
    from holidays.registry import COUNTRIES  # noqa: PLC0415

    # A country has a class by name, then its code of two letters, then one of three.
    return {name.replace("_", ""): codes[1] for name, codes in COUNTRIES.items()}
