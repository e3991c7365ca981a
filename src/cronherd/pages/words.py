"""How pages say things: states as word, icon and tone, durations and sizes for people."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A state as it is shown: never by its colour alone.

    `tone` is a class of app.css: ok, bad, run, warn, wait or off; `icon` a symbol of icons.svg.
    """

    word: str
    icon: str
    tone: str


def _badge(word: str, icon: str, tone: str) -> Badge:
    return Badge(word=word, icon=icon, tone=tone)


# Outcomes and states of runs, states of jobs and nodes: no two mean different things by one word.
BADGES: Mapping[str, Badge] = {
    "succeeded": _badge("succeeded", "circle-check", "ok"),
    "failed": _badge("failed", "circle-x", "bad"),
    "timed_out": _badge("timed out", "timer-off", "bad"),
    "cancelled": _badge("cancelled", "circle-slash", "off"),
    "lost": _badge("lost", "ghost", "bad"),
    "not_started": _badge("not started", "circle-alert", "bad"),
    "skipped": _badge("skipped", "circle-dashed", "off"),
    "waiting": _badge("waiting", "hourglass", "wait"),
    "ready": _badge("ready", "circle-dashed", "wait"),
    "delayed": _badge("tries again", "rotate-cw", "warn"),
    "held": _badge("held", "hand", "warn"),
    "claimed": _badge("starting", "circle-play", "run"),
    "running": _badge("running", "loader-circle", "run"),
    "suspected": _badge("suspected", "circle-question-mark", "warn"),
    "unknown": _badge("unknown", "circle-question-mark", "warn"),
    "finished": _badge("finished", "circle-check", "off"),
    "overdue": _badge("overdue", "timer", "warn"),
    "not_due": _badge("not due", "clock", "off"),
    "paused": _badge("paused", "circle-pause", "warn"),
    "disabled": _badge("disabled", "circle-off", "off"),
    "enabled": _badge("enabled", "circle-check", "ok"),
    "invited": _badge("invited", "hourglass", "wait"),
    "error": _badge("error", "circle-x", "bad"),
    "idle": _badge("idle", "circle-dashed", "off"),
    "never": _badge("never ran", "circle-dashed", "off"),
    "alive": _badge("alive", "circle-check", "ok"),
    "drained": _badge("drained", "circle-pause", "warn"),
    "silent": _badge("silent", "wifi-off", "bad"),
    "stopped": _badge("stopped", "circle-off", "off"),
    "free": _badge("free", "lock-open", "ok"),
    "full": _badge("full", "lock", "wait"),
    "closed": _badge("closed", "ban", "off"),
    "shared": _badge("shared", "users", "off"),
    "exclusive": _badge("exclusive", "lock", "off"),
    "sent": _badge("sent", "circle-check", "ok"),
    "given_up": _badge("given up", "circle-x", "bad"),
}
_UNKNOWN = ("circle-question-mark", "off")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def badge_of(state: str) -> Badge:
    """The badge of a state; a word that is new here is shown as it is."""
    icon, tone = _UNKNOWN
    return BADGES.get(state) or _badge(state.replace("_", " "), icon, tone)


def say_duration(seconds: float | None) -> str:
    """Two units at most: `0.8 s`, `41 s`, `4 min 12 s`, `3 d 4 h`; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 0:
        return f"-{say_duration(-seconds)}"
    if seconds < 0.9995:
        millis = round(seconds * 1000)
        return f"{millis} ms" if millis else "under 1 ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, smaller, less in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {less}" if rest else "")
    return f"{whole} s"


def say_distance(seconds: float) -> str:
    """How far an instant is from now, in one unit: `in 43 min`, `3 s ago`, `now`."""
    size = abs(seconds)
    if size < 0.5:
        return "now"
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count = round(size / unit) if unit == 1 else int(size / unit)
        if count:
            return f"in {count} {name}" if seconds > 0 else f"{count} {name} ago"
    return "now"


def say_bytes(count: int | None) -> str:
    """`512 B`, `1.5 MiB`; a dash for None."""
    if count is None:
        return "–"
    size = float(count)
    for unit in _BYTES:
        if size < 1024 or unit == _BYTES[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return ""


def say_count(count: int) -> str:
    """Thousands apart by a thin space: `3 412`."""
    return f"{count:,}".replace(",", "\u202f")


def say_plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{say_count(count)} {one if count == 1 else many or one + 's'}"


def say_sentence(text: str) -> str:
    """As a sentence begins; what begins with a quoted name or a key stays as it is written."""
    first = text.partition(" ")[0].rstrip(":,")
    return text[:1].upper() + text[1:] if first.isalpha() else text
