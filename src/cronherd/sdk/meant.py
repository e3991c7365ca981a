"""A word that is no step: Laravel's spelling of one, or nearly one."""

from difflib import get_close_matches

from cronherd.domain.errors import Invalid
from cronherd.sdk.origin import caller


class UnknownStep(Invalid, AttributeError):
    """An AttributeError with the line that said it, so that `hasattr` still answers."""


def unknown_step(name: str) -> AttributeError:
    """What is raised for an attribute that a job does not have."""
    if name.startswith("_"):
        return AttributeError(name)
    from cronherd.sdk.vocabulary import ABSENT, SECTIONS  # noqa: PLC0415 - only on the way to an error

    words = [word for words in SECTIONS.values() for word in words]
    theirs = {spelled: word.step for word in words for spelled in word.laravel.split(", ")}
    instead = {spelled: word.instead for word in ABSENT for spelled in word.laravel.split(", ")}
    near = get_close_matches(name, [word.step for word in words], n=1)
    if name in theirs:
        hint = f"here it is {theirs[name]}"
    elif name in instead:
        hint = f"instead: {instead[name]}"
    else:
        hint = f"did you mean {near[0]}?" if near else "set(...) says what has no step"
    return UnknownStep(f"there is no step '{name}'", code="bad_step", hint=hint, where=caller())
