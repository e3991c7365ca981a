"""The holder of a run's lock as a program: engine/lockorder.py starts it, in the run's place."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cronherd.domain.errors import Unavailable
from cronherd.domain.lock import ORDER, UNAVAILABLE, WAY, Away, LockUse, LogLevel
from cronherd.locks.fleet import Ask, Book
from cronherd.tools.joblock import Words, run_job

if TYPE_CHECKING:
    from cronherd.cli.host import Place
    from cronherd.config.load import Config

Json = dict[str, Any]
ANSWER_S = 10.0


def main(descriptor: int, argv: list[str]) -> NoReturn:
    """Run `argv` under the lock that the environment orders; ends this process."""
    words = Words(descriptor=descriptor)
    try:
        environ = _given_environment()
        said = json.loads(environ.pop(ORDER))
        way = environ.pop(WAY, None)
        use = LockUse(**{**said, "away": Away(said["away"]), "log": LogLevel(said["log"])})
        fleet = None if way is None else _asking(json.loads(Path(way).read_text("utf-8")))
        run_job(use, argv, environ, words, _complain, fleet)
    except Exception as error:  # noqa: BLE001 - the command never runs without its lock
        words.say(f"refused {UNAVAILABLE}", f"its lock cannot be taken: {error}")
        os._exit(125)


def _given_environment() -> dict[str, str]:
    """As the supervisor gave it: Python itself may have added its idea of a locale."""
    given = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(each).partition("=") for each in given if b"=" in each)
    return {name: value for name, _, value in pairs}


def way_of(config: "Config", place: "Place") -> str:
    """How a fleet is reached from this host, as text for WAY.

    Not in a file of SQLite: a holder that had it open would keep an agent from starting.
    """
    is_file = config.database is None or config.database.startswith("sqlite:")
    password = config.database_password_file
    return json.dumps(
        {
            "state": str(place.state),
            "runtime": str(place.runtime),
            "socket": str(place.socket),
            "database": None if is_file else config.database,
            "password": None if password is None else str(password.absolute()),
        }
    )


def _asking(way: Json) -> Ask:
    """By the socket of the agent here; by the database while none answers there."""

    def ask(question: Callable[[Book], Json]) -> Json:
        socket = Path(way["socket"])
        if socket.is_socket():
            from cronherd.cli.reach import answers  # noqa: PLC0415 - only on need
            from cronherd.client import Client  # noqa: PLC0415

            if answers(socket):
                return question(Client.over_socket(socket, ANSWER_S))
        if way["database"] is None:
            raise Unavailable(
                f"no cronherd answers at {socket}",
                code="no_answer",
                hint="a lock of the fleet on SQLite takes a 'cronherd up'",
            )
        return _ask_database(way, question)

    return ask


def _ask_database(way: Json, question: Callable[[Book], Json]) -> Json:
    from cronherd.cli.host import Place  # noqa: PLC0415 - all of this only on need
    from cronherd.config.load import Config, Node  # noqa: PLC0415
    from cronherd.wiring import open_fleet  # noqa: PLC0415

    password = way["password"]
    config = Config(
        node=Node(name=""),
        timezone="UTC",
        database=way["database"],
        database_password_file=Path(password) if password else None,
    )
    place = Place(
        state=Path(way["state"]), runtime=Path(way["runtime"]), socket=Path(way["socket"])
    )
    with open_fleet(config, place) as fleet:
        return question(fleet)


def _complain(sentence: str) -> None:
    """One line of the run's own output, where the job asked for such."""
    text = "".join(char if char.isprintable() else "?" for char in sentence)
    try:
        os.write(2, f"cronherd: {text}\n".encode("utf-8", "replace"))
    except OSError:
        return
