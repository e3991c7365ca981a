"""The connections to a server of locks: whose answer is whose, and what is no answer."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.locks.base import Lock
from cronherd.locks.link import Link, Links, Refused, Server
from cronherd.locks.redis import RedisLock, say

Open = Callable[..., Lock]
ECHO = "return ARGV[1]"


@pytest.fixture
def redis(address: Callable[[str], str], opened: Open) -> RedisLock:
    lock = opened(address("redis"))
    assert isinstance(lock, RedisLock)
    return lock


def test_threads_that_ask_at_once_get_their_own_answers(redis: RedisLock):
    words = [f"word {number}" for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda word: redis.ask(ECHO, word), words)) == words


def test_an_answer_that_nobody_read_is_not_taken_for_the_next_one(redis: RedisLock):
    assert redis.ask(ECHO, "before") == "before"

    def interrupted(link: Link) -> None:
        link.send(b"PING\r\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        redis._links.ask(interrupted)
    assert redis.ask(ECHO, "behind") == "behind"


def test_answers_of_each_kind_are_read(redis: RedisLock):
    text = "é\r\n" * 50_000
    assert redis.ask("return {ARGV[1], 7, false, {'', redis.status_reply('OK')}}", text) == [
        text, 7, None, ["", "OK"],
    ]  # fmt: skip


def test_what_was_refused_is_not_asked_again(redis: RedisLock):
    asked = []

    def wrong(link: Link) -> None:
        asked.append(link)
        say(link, "NO-SUCH-COMMAND")

    with pytest.raises(Unavailable, match="unknown command"):
        redis._links.ask(wrong)
    assert len(asked) == 1


@pytest.mark.parametrize(("kind", "scheme"), [("redis", "memcached"), ("memcached", "redis")])
def test_a_server_of_another_kind_is_no_lock(
    address: Callable[[str], str], opened: Open, kind: str, scheme: str
):
    where = address(kind)
    with pytest.raises(Unavailable, match="cannot be asked"):
        opened(where.replace(kind, scheme, 1)).acquire()


def test_a_link_that_fell_asleep_is_made_anew():
    """Whoever ended it meanwhile: the question is asked once more, by a new one, and not thrice."""
    taken: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        for number in range(3):
            connection, _ = listener.accept()
            with connection:
                taken.append(connection.recv(64))
                if number == 1:
                    connection.sendall(b"half an ans")
                if number == 2:
                    connection.sendall(b"a whole one\r\n")

    def question(link: Link) -> bytes:
        link.send(b"well?")
        return link.line()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(host="127.0.0.1", port=listener.getsockname()[1])
        links = Links(server, "x", lambda _: None)
        serving = threading.Thread(target=serve, args=(listener,))
        serving.start()
        with pytest.raises(Unavailable, match="no answer"):
            links.ask(question)
        assert links.ask(question) == b"a whole one"
        serving.join()
        links.close()
    assert taken == [b"well?"] * 3


def test_who_is_not_greeted_well_is_not_asked():
    def greet(_: Link) -> None:
        raise Refused("who are you?")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(Unavailable, match="who are you"):
            Links(server, "x", greet).ask(lambda link: link.send(b"secret"))
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(64) == b""
