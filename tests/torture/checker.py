"""Says from evidence alone whether the promises held. Takes no code of the product.

Each check is a function from the case to violations; `test_checker.py` shows each of them failing.
A checker that never failed proves nothing.
"""

from tests.torture.case import Case, Check, Violation
from tests.torture.slots import conservation, justified
from tests.torture.starts import blind, exclusion, fences, shared, starts, timing
from tests.torture.truth import held, liveness, obedience, requests, truth

CHECKS: tuple[Check, ...] = (
    conservation,
    justified,
    starts,
    timing,
    exclusion,
    shared,
    truth,
    liveness,
    fences,
    blind,
    obedience,
    held,
    requests,
)


def check(case: Case) -> list[Violation]:
    """Everything that was broken, the worst kinds of each check in the order of time."""
    return [found for each in CHECKS for found in sorted(each(case), key=lambda v: v.at_ns)]
