"""What `aioelection run` puts together: the connection, the sidecar, its signals, and whom it tells how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

from aioelection import Leadership, State
from aioelection.cli import _guardian, _log
from aioelection.cli._executable import status_of, why_not
from aioelection.cli._http import Answer, serving
from aioelection.cli._metrics import Metrics
from aioelection.cli._options import Connection
from aioelection.cli._sidecar import Job, Sidecar, tell_states
from aioelection.cli._systemd import Notifier
from aioelection.errors import InvalidConfiguration

TO_STOP = (signal.SIGTERM, signal.SIGINT)
TO_PASS_ON = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

log = logging.getLogger("aioelection.cli")


def run(connection: Connection, key: bytes, job: Job, http: str | None, *, quiet: bool, verbose: bool) -> int:
    """Until the command has ended, or for ever; returns the exit status."""
    address = None if http is None else parse_address(http)
    _log.for_running(quiet=quiet, verbose=verbose)
    if error := why_not(job.argv[0]):
        log.error("%s cannot be started: %s", job.argv[0], error.strerror)
        return status_of(error)
    _guardian.adopt_orphans()  # should the guardian be killed
    return asyncio.run(_run(connection, key, job, address))


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[::1]:PORT``, or ``:PORT`` for all interfaces."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise InvalidConfiguration(f"--http takes HOST:PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _run(connection: Connection, key: bytes, job: Job, address: tuple[str, int] | None) -> int:
    notifier = Notifier(os.environ)
    metrics = None if address is None else Metrics()
    async with connection.open(() if metrics is None else metrics.hooks) as client:
        sidecar = Sidecar(Leadership(client, key, purpose="aioelection run"), job, notifier)
        with _signals(sidecar):
            async with _http(sidecar, address, metrics), _telling(sidecar, notifier):
                return await sidecar.run()


@contextlib.contextmanager
def _signals(sidecar: Sidecar) -> Iterator[None]:
    """Have signals for the sidecar; what is ignored, as `SIGHUP` is under `nohup`, stays so."""
    loop = asyncio.get_running_loop()
    handled = [each for each in (*TO_STOP, *TO_PASS_ON) if signal.getsignal(each) is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, sidecar.stop if number in TO_STOP else sidecar.pass_on, number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _telling(sidecar: Sidecar, notifier: Notifier) -> AsyncIterator[None]:
    """Tell systemd that we are up, and how it goes."""
    telling = [
        asyncio.ensure_future(notifier.feed_watchdog()),
        asyncio.ensure_future(tell_states(sidecar.leadership.transitions(), notifier)),
    ]
    notifier.tell("READY=1")
    try:
        yield
    finally:
        notifier.tell("STOPPING=1")
        for task in telling:
            task.cancel()
        await asyncio.wait(telling)


@contextlib.asynccontextmanager
async def _http(sidecar: Sidecar, address: tuple[str, int] | None, metrics: Metrics | None) -> AsyncIterator[None]:
    if address is None or metrics is None:
        yield
        return
    routes = {
        "/leader": lambda: leader(sidecar),
        "/healthz": lambda: health(sidecar.leadership),
        "/metrics": metrics.answer,
    }
    async with contextlib.AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(serving(*address, routes))
        except OSError as error:
            raise InvalidConfiguration(f"--http: cannot listen on {address[0]}:{address[1]}: {error}") from None
        log.info("HTTP on port %d", port)
        yield


def leader(sidecar: Sidecar) -> Answer:
    """200 here, and 503 elsewhere: for a load balancer that is to find the leader."""
    term = sidecar.leadership.term if sidecar.leads else None
    told = {"key": os.fsdecode(sidecar.leadership.leader_key), "leading": term is not None}
    if term is not None:
        told |= {"fencing_token": term.fencing_token, "remaining": round(term.remaining(), 3)}
    return _json(HTTPStatus.OK if term is not None else HTTPStatus.SERVICE_UNAVAILABLE, told)


def health(leadership: Leadership) -> Answer:
    """200 while it stands or leads: this process is up. That etcd is silent is no reason to restart it."""
    well = leadership.state is not State.CLOSED
    return _json(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, {"state": leadership.state.value})


def _json(status: HTTPStatus, told: object) -> Answer:
    return Answer(status, json.dumps(told).encode() + b"\n")
