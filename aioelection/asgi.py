"""An election beside an ASGI app (Starlette, FastAPI, Litestar): run for the app's life, and told over HTTP::

    election = aioelection.asgi.Election(
        lambda: aioelection.connect("http://127.0.0.1:2379"), "/billing/leader", serve, 10, b"node-a"
    )
    app = Starlette(lifespan=election.lifespan, routes=[Mount("/election", election)])

It needs none of these packages: an ASGI app is a callable.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aioelection._core import checks
from aioelection.client import Client
from aioelection.errors import InvalidConfiguration, InvalidState
from aioelection.leadership import Leadership
from aioelection.run import Serve

Message = MutableMapping[str, Any]
Answer = tuple[int, dict[str, object]]
"""A status, and what is sent as JSON."""

log = logging.getLogger("aioelection")


class Election:
    """Stands for a leadership while an app runs, and answers who leads.

    ``lifespan`` is what Starlette and FastAPI take: it connects, runs ``Leadership.run`` beside the app, and on the
    app's end cancels it, waits until ``serve`` has ended and the key is released, and disconnects. The app starts when
    etcd has answered, and is served whether it leads or not.

    When ``run`` ends by itself, because ``serve`` raised or etcd refused it, that is logged at once, ``/healthz`` tells
    so that the process can be restarted, and the error is raised at the app's end.

    Mounted it is an ASGI app with two paths, for GET and HEAD, both answering JSON:

    ``/leader``
        200 while this process leads, else 503, as ``Leadership.check`` says it, for load balancers.
    ``/healthz``
        200 while the election runs, led or not, else 503.

    Args:
        connect: gives the client: ``lambda: aioelection.connect(...)``. It is called when the app starts, in its loop.
        leader_key: as for ``Leadership``.
        serve: as for ``Leadership.run``, and so are the other arguments.
        lease_timeout: as for ``run``.
        leader_data: as for ``run``.
        cmps: as for ``run``.
        purpose: as for ``Leadership``.
        options: as for ``run``: ``health``, ``limit``, ...

    Raises:
        InvalidConfiguration: an argument cannot work; some are told when the app starts, which fails then.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Client]],
        leader_key: str | bytes,
        serve: Serve,
        lease_timeout: int,
        leader_data: Any,
        *cmps: object,
        purpose: str = "",
        **options: Any,
    ) -> None:
        checks.function(connect, "connect")
        self._connect = connect
        self._key = checks.key(leader_key)
        self._purpose = checks.text(purpose, "purpose")
        self._run = (serve, checks.lease_timeout(lease_timeout), leader_data, *cmps)
        self._options = options
        self._leadership: Leadership | None = None
        self._running: asyncio.Task[Any] | None = None

    @property
    def leadership(self) -> Leadership:
        """The leadership, while the app runs.

        Raises:
            InvalidState: the app does not run.
        """
        if self._leadership is None:
            raise InvalidState(f"the app with the election of {self._key!r} does not run: is its lifespan passed on?")
        return self._leadership

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[dict[str, Leadership]]:
        """For the app's ``lifespan``, or within your own; gives ``request.state.leadership``."""
        if self._leadership is not None:
            raise InvalidState(f"the election of {self._key!r} runs already")
        async with self._connect() as client:
            leadership = Leadership(client, self._key, self._purpose)
            running: asyncio.Task[Any] = asyncio.ensure_future(leadership.run(*self._run, **self._options))
            await asyncio.sleep(0)
            if running.done():  # an argument is refused: the app does not start
                running.result()
            running.add_done_callback(self._ended)
            self._leadership, self._running = leadership, running
            try:
                yield {"leadership": leadership}
            finally:
                running.cancel()
                await asyncio.wait([running])  # as long as serve takes to end
                self._leadership = self._running = None
            if not running.cancelled():
                running.result()

    def _ended(self, running: asyncio.Task[Any]) -> None:
        if not running.cancelled():
            log.critical("the election of %r has ended", self._key, exc_info=running.exception())

    # ------------------------------------------------------------------ over HTTP

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """The ASGI app."""
        if scope["type"] != "http":
            raise InvalidConfiguration(f"an Election answers http, not {scope['type']}")
        status, body = self._answer(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
        content = json.dumps(body).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    def _answer(self, method: str, path: str) -> Answer:
        answers = {"/leader": self._leader, "/healthz": self._healthz}
        if path not in answers:
            return 404, {"error": f"nothing is here but {' and '.join(answers)}"}
        if method not in ("GET", "HEAD"):
            return 405, {"error": "only GET and HEAD"}
        return answers[path]()

    def _leader(self) -> Answer:
        leadership = self._leadership
        if leadership is None or (term := leadership.term) is None or not term.check():
            return 503, {"leading": False, **self._state()}
        told = {"fencing_token": term.fencing_token, "remaining": round(term.remaining(), 3)}
        return 200, {"leading": True, **self._state(), **told}

    def _healthz(self) -> Answer:
        runs = self._running is not None and not self._running.done()
        return (200 if runs else 503), {"running": runs, **self._state()}

    def _state(self) -> dict[str, object]:
        state = self._leadership.state.value if self._leadership is not None else "stopped"
        return {"key": self._key.decode(errors="replace"), "state": state}
