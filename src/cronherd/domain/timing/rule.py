"""What every schedule answers, and what most of them answer alike."""

from typing import Protocol


class Schedule(Protocol):
    """A rule for the next instant: strictly later, always the same, after a bounded search."""

    def next_after(self, after_us: int) -> int | None:
        """The first slot strictly after `after_us`, None when there is none."""
        ...

    @property
    def text(self) -> str:
        """The rule as a person would write it."""
        ...

    @property
    def at_boot(self) -> bool:
        """Whether a start of the host is a slot too."""
        ...

    @property
    def excludes(self) -> bool:
        """Whether something takes slots out that somebody could have expected."""
        ...

    def excluded_between(self, after_us: int, until_us: int, limit: int) -> list[tuple[int, str]]:
        """What was taken out with after_us < slot <= until_us: instants, each with its reason.

        In order, at most `limit` of them; empty for schedules without exclusions. Slots outside
        windows or outside start and end are not among them: nobody expects those.
        """
        ...


class Plain:
    """A rule that takes nothing out and knows nothing of hosts that start."""

    __slots__ = ()

    @property
    def at_boot(self) -> bool:
        return False

    @property
    def excludes(self) -> bool:
        return False

    def excluded_between(
        self,
        after_us: int,  # noqa: ARG002 - the shape of the question
        until_us: int,  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> list[tuple[int, str]]:
        return []
