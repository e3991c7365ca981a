"""cronherd: one cron for many machines. Importing it does nothing.

`from cronherd import Scheduler, task` is for schedules as code; each loads when it is asked for.
"""

TYPE_CHECKING = False  # typing itself would take longer than all of this
if TYPE_CHECKING:
    from cronherd.sdk.scheduler import Scheduler as Scheduler
    from cronherd.task import task as task

__version__ = "0.1.0"

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "Scheduler":
            from cronherd.sdk.scheduler import Scheduler  # noqa: PLC0415 - it loads much

            return Scheduler
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
