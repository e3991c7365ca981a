"""What a job may say: each setting, how it is read, its default and its sentence for the docs.

`jobs.py` reads jobs with it.
"""

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from cronherd.definition.alerts import MAIL, MAILTO, PING, WEBHOOK
from cronherd.definition.command import (
    COMMAND_BYTES,
    LONG,
    MAX_FILE,
    LimitsDefinition,
    SecretDefinition,
    read_args,
    read_codes,
    read_command,
    read_cwd,
    read_env,
    read_env_file,
    read_group,
    read_items,
    read_path,
    read_secrets,
    read_shell,
    read_signal,
    read_task,
    read_user,
)
from cronherd.definition.faults import (
    SWITCH,
    ZONE,
    Faulty,
    Kind,
    Shape,
    choice,
    duration,
    nested,
    read_duration,
    read_text,
    refusal,
    spell,
    text,
    whole,
)
from cronherd.definition.hooks import HOOKS
from cronherd.definition.jobserver import GearmanDefinition
from cronherd.definition.locks import LOCK
from cronherd.definition.params import PARAMS_SCHEMA, read_params
from cronherd.definition.retries import RETRIES, RetentionDefinition
from cronherd.definition.sharing import PLACE, POOLS
from cronherd.definition.sizes import size
from cronherd.definition.when import (
    EXCLUDING,
    FOLD,
    GAP,
    JITTER,
    MOMENT,
    RULES,
    RUNS,
    WINDOW,
    read_schedule,
)
from cronherd.domain.alert import MailWhen
from cronherd.domain.duration import format_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.job import NAME_LENGTH, name_key
from cronherd.domain.policy import (
    GRACE_US,
    LEASE_US,
    ON_TIME_US,
    OUTPUT_FILE_SIZE,
    OUTPUT_HEAD,
    OUTPUT_TAIL,
    QUEUE_MAX,
    TAKEOVER_AFTER_US,
    TAKEOVER_SLACK_US,
    Catchup,
    CatchupMode,
    Delivery,
    Overlap,
    Spread,
)
from cronherd.domain.spec import STOP_SIGNALS

DESCRIPTION_BYTES = 10_000
MAX_TAGS = 50
MAX_OUTPUT = 16 * 1024 * 1024  # it lives in your database
LEAST_TAKEOVER_US = LEASE_US + TAKEOVER_SLACK_US  # and the job's own grace, see build_job

_PLAIN_CATCHUP = Catchup()


def _read_name(value: object) -> str:
    name = read_text(value, most=LONG)
    name_key(name)
    return name


def _read_takeover(value: object) -> str:
    if value == "never":
        return "never"
    why = "a shorter one could start what still runs; or write never"
    return read_duration(value, least_us=LEAST_TAKEOVER_US, why=why)


def _read_tag(value: object) -> str:
    tag = read_text(value, most=200, lines=False)
    if tag != tag.strip() or "," in tag or not tag.isprintable():
        raise Invalid(f"{spell(tag)} cannot be a tag", hint="no comma, no blank at either end")
    return tag


def _read_tags(value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        raise Invalid(f"must be a list of tags, not {spell(value)}", hint="write [backup, nightly]")
    if len(value) > MAX_TAGS:
        raise Invalid(f"has more than {MAX_TAGS} tags", code="too_many")
    return list(dict.fromkeys(read_items(value, _read_tag)))


_SIZES = size(MAX_OUTPUT)
_MAPPING = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_STRINGS = {"type": "array", "items": {"type": "string"}}
_COMMAND_SCHEMA = {"anyOf": [{"type": "string", "minLength": 1}, _STRINGS | {"minItems": 1}]}
_CODES = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}
_ONE_OR_MORE = {"anyOf": [{"type": "string"}, _STRINGS]}
_SECRETS = {
    "type": "array",
    "items": {"anyOf": [{"type": "string"}, nested(SecretDefinition).schema]},
}
_FILE_SIZE = size(MAX_FILE)
_TIMEOUT = duration(least_us=1, why="leave it out for no limit")


class JobDefinition(Shape):
    """A job in the words of a file. What is left out has its default."""

    name: Annotated[str, Kind(_read_name, {"type": "string", "maxLength": NAME_LENGTH})] = Field(
        description="What the job is called; unique, upper and lower case do not differ."
    )
    formerly: Annotated[str | None, Kind(_read_name, {"type": "string"})] = Field(
        default=None, description="The name it had before: a renamed job keeps its runs."
    )
    description: Annotated[str | None, text(DESCRIPTION_BYTES, empty=True)] = Field(
        default=None, description="What the job is for, in words for people."
    )
    command: Annotated[str | list[str] | None, Kind(read_command, _COMMAND_SCHEMA)] = Field(
        default=None,
        description="What runs: a text goes to the shell, a list is executed as it is.",
    )
    task: Annotated[str | None, Kind(read_task, {"type": "string"})] = Field(
        default=None, description="What runs instead of a command: package.module:function."
    )
    args: Annotated[Any, Kind(read_args, {"type": ["array", "object"]})] = Field(
        default=None, description="What the task is called with: a list, or a mapping by name."
    )
    hooks: Annotated[dict[str, object] | None, HOOKS] = Field(
        default=None,
        description="Functions around the command or task, each module:function or a list.",
    )
    params: Annotated[dict[str, object] | None, Kind(read_params, PARAMS_SCHEMA)] = Field(
        default=None, description="What whoever asks for a run may set, by name."
    )
    timezone: Annotated[str | None, ZONE] = Field(
        default=None, description="The time zone of the schedule; else the fleet's is written in."
    )
    window: Annotated[str | list[str] | None, WINDOW] = Field(
        default=None,
        description="The stretches of the local day in which slots count, each with the days "
        "on which it opens.",
    )
    excluding: Annotated[Any, EXCLUDING] = Field(
        default=None,
        description="Times without slots: days, stretches, dates, holidays; one or a list.",
    )
    start: Annotated[str | None, MOMENT] = Field(
        default=None, description="The instant from which on there are slots."
    )
    end: Annotated[str | None, MOMENT] = Field(
        default=None, description="The instant from which on there are no more slots."
    )
    dst_gap: Annotated[str | None, GAP] = Field(
        default=None,
        description="What becomes of a fixed time that the clock skips: it comes right after, or "
        "not at all. Without it as usual: cron and at after, oncalendar skip.",
    )
    dst_fold: Annotated[str | None, FOLD] = Field(
        default=None,
        description="Which of the two comes of a fixed time that the clock repeats; without it "
        "the first.",
    )
    jitter: Annotated[str | None, JITTER] = Field(
        default=None,
        description="How much later than its instant a slot may fire, so that jobs spread; "
        "shorter than the time between two slots.",
    )
    max_runs: Annotated[int | None, RUNS] = Field(
        default=None, description="After so many runs by the schedule it is over."
    )
    # After what is said around it: it is read in their light.
    schedule: Annotated[Any, RULES] = Field(
        default=None,
        description="When the job runs, as cron fields, every, after, at, oncalendar or @reboot, "
        "or a list of those; without it the job runs only by hand.",
    )
    enabled: Annotated[bool, SWITCH] = Field(
        default=True, description="Whether the schedule fires; a disabled job can run by hand."
    )
    overlap: Annotated[str, choice(*Overlap)] = Field(
        default=Overlap.SKIP.value,
        description="What a slot does when the job already runs as often as it may.",
    )
    max_running: Annotated[int, whole(1, 10_000)] = Field(
        default=1, description="How many runs of the job go on at once in the whole fleet."
    )
    queue_max: Annotated[int, whole(0, 100_000)] = Field(
        default=QUEUE_MAX, description="How many slots may wait with overlap queue."
    )
    catchup: Annotated[str, choice(*CatchupMode)] = Field(
        default=_PLAIN_CATCHUP.mode.value, description="Which of the missed slots still run."
    )
    catchup_window: Annotated[str, duration()] = Field(
        default=format_duration(_PLAIN_CATCHUP.window_us),
        description="How old a missed slot may be and still run.",
    )
    catchup_max: Annotated[int, whole(0, 1_000)] = Field(
        default=_PLAIN_CATCHUP.most,
        description="How many missed slots run at the most with catchup all.",
    )
    on_time: Annotated[str, duration()] = Field(
        default=format_duration(ON_TIME_US),
        description="How late a slot may start and still not count as missed.",
    )
    start_deadline: Annotated[str | None, _TIMEOUT] = Field(
        default=None, description="A run that has not started so long after its slot is given up."
    )
    timeout: Annotated[str | None, _TIMEOUT] = Field(
        default=None, description="How long a run may take before it is stopped."
    )
    grace: Annotated[str, duration()] = Field(
        default=format_duration(GRACE_US),
        description="How long a run that is stopped has between its stop signal and KILL.",
    )
    stop_signal: Annotated[str, Kind(read_signal, {"enum": list(STOP_SIGNALS)})] = Field(
        default="TERM", description="The signal that asks a run to end."
    )
    success_codes: Annotated[list[int], Kind(lambda value: read_codes(value, 0), _CODES)] = Field(
        default=[0], description="The exit codes that mean success."
    )
    retries: Annotated[Any, RETRIES] = Field(
        default=0, description="How often a failed run is tried again, and after which waits."
    )
    retry_on: Annotated[list[int] | None, Kind(lambda value: read_codes(value, 1), _CODES)] = Field(
        default=None,
        description="The exit codes that are tried again, and nothing else; "
        "without it every failure is.",
    )
    pause_after_failures: Annotated[int, whole(0, 10_000)] = Field(
        default=0,
        description="After so many failed runs in a row the job is paused until somebody "
        "resumes it; 0: never.",
    )
    delivery: Annotated[str, choice(*Delivery)] = Field(
        default=Delivery.AT_MOST_ONCE.value,
        description="Whether a run whose node is gone may be started once more.",
    )
    takeover_after: Annotated[str, Kind(_read_takeover, {"type": ["string", "number"]})] = Field(
        default=format_duration(TAKEOVER_AFTER_US),
        description="How long a silent node keeps the run: at least 20s and the grace, or never.",
    )
    min_gap: Annotated[str, duration()] = Field(
        default="0s",
        description="How long nothing of the job starts after one of its runs has ended.",
    )
    run_on: Annotated[Any, PLACE] = Field(
        default=None,
        description="The labels a node must have to run the job: a selector such as "
        "zone=eu, !slow, or a mapping.",
    )
    prefer: Annotated[Any, PLACE] = Field(
        default=None,
        description="The labels of nodes that come first: others leave a run to them for 5s.",
    )
    spread: Annotated[str, choice(*Spread)] = Field(
        default=Spread.ANY.value,
        description="Whether a slot is one run anywhere, or one on each node that fits.",
    )
    rolling: Annotated[int | None, whole(1, 10_000)] = Field(
        default=None, description="On how many nodes a job on all of them runs at once."
    )
    max_per_node: Annotated[int | None, whole(1, 10_000)] = Field(
        default=None, description="How many runs of the job a node has at once."
    )
    pools: Annotated[Any, POOLS] = Field(
        default=None,
        description="Pools whose permits each run holds while it runs, by name or with permits.",
    )
    priority: Annotated[int, whole(-100, 100)] = Field(
        default=0, description="Which run a busy node takes first: the smaller number."
    )
    env: Annotated[dict[str, str] | None, Kind(read_env, _MAPPING)] = Field(
        default=None, description="Environment variables of the command."
    )
    env_file: Annotated[Any, Kind(read_env_file, _ONE_OR_MORE)] = Field(
        default=None,
        description="A file of KEY=value lines, or a list of them, read by the executing host at "
        "each start; -/path may be missing. What env says wins.",
    )
    secrets: Annotated[list[Any] | None, Kind(read_secrets, _SECRETS)] = Field(
        default=None, description="Secrets of the fleet that the command gets."
    )
    shell: Annotated[str, Kind(read_shell, {"type": "string", "pattern": "^/"})] = Field(
        default="/bin/sh", description="The shell that a command given as text goes to."
    )
    cwd: Annotated[str | None, Kind(read_cwd, {"type": "string", "pattern": "^[/~]"})] = Field(
        default=None, description="The directory the command starts in; ~ is the user's home."
    )
    stdin: Annotated[str | None, text(COMMAND_BYTES, empty=True)] = Field(
        default=None, description="What the command reads on its standard input."
    )
    user: Annotated[str | None, Kind(read_user, {"type": "string"})] = Field(
        default=None, description="The user the command runs as, where the host allows it."
    )
    group: Annotated[str | None, Kind(read_group, {"type": "string"})] = Field(
        default=None, description="The group the command runs as; else the one of its user."
    )
    nice: Annotated[int, whole(-20, 19)] = Field(
        default=0, description="How far the command steps back for others: 19 the furthest."
    )
    limits: Annotated[dict[str, object] | None, nested(LimitsDefinition)] = Field(
        default=None, description="What the command may use at the most."
    )
    mailto: Annotated[str | None, MAILTO] = Field(
        default=None, description="Who gets mail about the job; empty for nobody."
    )
    mail: Annotated[str, MAIL] = Field(
        default=MailWhen.ON_OUTPUT.value,
        description="Which runs are mailed to mailto: those that write something, as cron does; "
        "those that fail, with slots that were missed; or all.",
    )
    webhook: Annotated[Any, WEBHOOK] = Field(
        default=None, description="A URL that is told of runs as JSON, or a mapping with url."
    )
    ping: Annotated[Any, PING] = Field(
        default=None,
        description="A URL that is called when a run succeeds, with /start when it starts and "
        "/fail or the exit code when it fails; or a mapping with start, success and fail.",
    )
    tags: Annotated[list[str] | None, Kind(_read_tags, _STRINGS)] = Field(
        default=None, description="Words to find and group jobs by."
    )
    retention: Annotated[dict[str, object] | None, nested(RetentionDefinition)] = Field(
        default=None, description="How long finished runs of the job are kept."
    )
    output_head: Annotated[int, _SIZES] = Field(
        default=OUTPUT_HEAD, description="How many first bytes of a run's output are kept."
    )
    output_tail: Annotated[int, _SIZES] = Field(
        default=OUTPUT_TAIL, description="How many last bytes of a run's output are kept."
    )

    output_file: Annotated[str | None, Kind(read_path, {"type": "string"})] = Field(
        default=None, description="A file on the executing host that gets all of the output too."
    )
    output_file_size: Annotated[int, _FILE_SIZE] = Field(
        default=OUTPUT_FILE_SIZE,
        description="At this size output_file is moved to .1 and begun again; 0: never.",
    )
    output_file_fresh: Annotated[bool, SWITCH] = Field(
        default=False, description="Whether each attempt empties output_file first."
    )
    gearman: Annotated[dict[str, object] | None, nested(GearmanDefinition)] = Field(
        default=None, description="What a worker of a Gearman job server runs, not this host."
    )

    lock: Annotated[Any, LOCK] = Field(
        default=None,
        description="A lock that the command runs under: a name of the fleet, a file, a URL, or a "
        "mapping with one of them and more.",
    )

    @field_validator("schedule", mode="plain")
    @classmethod
    def _schedule(cls, value: object, validation: ValidationInfo) -> object:
        context = validation.context or {}
        timezone = validation.data.get("timezone") or context.get("timezone", "UTC")
        try:
            return read_schedule(value, validation.data, timezone, context.get("now_us", 0))
        except (Invalid, Faulty) as error:
            raise refusal(error) from None
