"""The web page: GET / shows what waits, POST / takes an order. `python -m shop.site` serves it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from shop import orders

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

LONGEST = 1_000


def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    """The whole application."""
    if environ["REQUEST_METHOD"] == "POST":
        length = min(int(environ.get("CONTENT_LENGTH") or 0), LONGEST)
        form = parse_qs(environ["wsgi.input"].read(length).decode())
        orders.add(form.get("what", ["nothing"])[0])
        start("303 See Other", [("Location", "/")])
        return [b""]
    start("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(f"{what}\n" for what in orders.waiting()).encode()]


if __name__ == "__main__":
    make_server("127.0.0.1", 8000, application).serve_forever()
