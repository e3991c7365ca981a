"""One caller for every request: what a test of routes needs in place of a door."""

from starlette.requests import Request

from cronherd.domain.access import Caller


class Always:
    """`refused` holds what was refused and to whom."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.refused: list[tuple[str, str]] = []

    async def __call__(self, request: Request) -> Caller:
        del request
        return self._caller

    def tell_refused(self, caller: Caller, what: str) -> None:
        self.refused.append((caller.actor, what))
