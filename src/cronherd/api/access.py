"""Who asks: by the way the request came, its token, its cookie, or the word of a trusted proxy."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cronherd.api.form import field, form_of
from cronherd.api.line import KEY, LOCAL, Arrival, arrival_of, bare_host
from cronherd.domain import access
from cronherd.domain.access import Caller
from cronherd.domain.errors import Refused
from cronherd.service.entrance import Entrance, From, Opened

SAFE = frozenset({"GET", "HEAD"})
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
COOKIE = "cronherd_session"
SECURE_COOKIE = "__Host-cronherd_session"
PROGRAM_LENGTH = 200


class Door:
    """Who comes by socket, token, proxy or session; what they may not do becomes an event."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self.tell_refused = entrance.tell_refused

    async def __call__(self, request: Request) -> Caller:
        """The caller of a request. Raises Refused."""
        if request.scope.get(KEY) == LOCAL:
            return access.LOCAL
        entrance, arrival = self._entrance, arrival_of(request)
        given = request.headers.getlist("authorization")
        if given and arrival.user is None:
            return await run_in_threadpool(entrance.by_token, _bearer(given))
        changes = request.method not in SAFE
        if arrival.user is not None:
            if changes:
                check_same_origin(request, arrival, must=True)
            return await run_in_threadpool(entrance.by_proxy, arrival.user)
        key = session_key(request)
        caller = await run_in_threadpool(entrance.by_session, key) if key else None
        if caller is None:
            raise Refused(
                "nobody is logged in",
                code="login_needed",
                hint="log in at /login, or send a token: Authorization: Bearer …",
            )
        if changes:
            check_same_origin(request, arrival, must=False)
            await _check_csrf(request, entrance, caller)
        return caller


def _bearer(given: list[str]) -> str:
    """The token of a request; whatever is wrong with it, the answer is 401."""
    scheme, _, key = given[0].partition(" ")
    if len(given) == 1 and scheme.lower() == "bearer" and key.isascii():
        return key.strip()
    raise Refused("this is not a token", code="bad_token", hint="send: Authorization: Bearer chd_…")


async def _check_csrf(request: Request, entrance: Entrance, caller: Caller) -> None:
    """A page of somebody else can make a browser send the cookie, but cannot know this."""
    given = request.headers.get(CSRF_HEADER)
    if given is None:
        given = field(await form_of(request), CSRF_FIELD)
    if not entrance.is_csrf(caller, given):
        raise Refused(
            "this change was not sent by a page of your session",
            code="csrf",
            hint="load the page again; programs send a token instead of a cookie",
        )


def check_same_origin(request: Request, arrival: Arrival, *, must: bool) -> None:
    """Whether a page of ours sent this, as far as the browser says; `must`: it has to say it."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is None and origin is None and not must:
        return
    from_us = site in {"same-origin", "none"} if site is not None else origin is not None
    if origin is not None:
        from_us = from_us and _names_us(origin, request, arrival)
    if not from_us:
        raise Refused(
            "this change was sent by a page of another site",
            code="csrf",
            hint="behind a proxy: let it pass on Host, or name the host in web.hosts",
        )


def _names_us(origin: str, request: Request, arrival: Arrival) -> bool:
    try:
        parts = urlsplit(origin)
        host, port = parts.netloc.lower(), parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not host or "@" in host:
        return False
    asked = request.headers.get("host", "").strip().lower()
    default = {"http": 80, "https": 443}[parts.scheme]
    if host == asked or (port in {None, default} and bare_host(host) == asked):
        return True
    return bare_host(host) in arrival.hosts


# ------------------------------------------------------------------ sessions


def session_key(request: Request) -> str | None:
    """The key in the cookie of this way: by TLS only the one that came by TLS counts."""
    return request.cookies.get(SECURE_COOKIE if arrival_of(request).secure else COOKIE)


def begin_session(request: Request, answer: Response, opened: Opened) -> None:
    """A new key at each login, so that nobody can log others in with a key of his own."""
    secure = arrival_of(request).secure
    answer.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        opened.key,
        max_age=opened.age_us // 1_000_000,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def end_session(request: Request, answer: Response) -> None:
    secure = arrival_of(request).secure
    name = SECURE_COOKIE if secure else COOKIE
    answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


async def _entrance(request: Request) -> Entrance:
    entrance: Entrance | None = request.app.state.entrance
    if entrance is None:
        raise Refused("nobody can log in at this cronherd", code="no_entrance")
    return entrance


async def _origin(request: Request) -> From:
    arrival = arrival_of(request)
    return From(
        address=arrival.address,
        program=request.headers.get("user-agent", "")[:PROGRAM_LENGTH],
        old=session_key(request),
    )


TheEntrance = Annotated[Entrance, Depends(_entrance)]
Origin = Annotated[From, Depends(_origin)]
