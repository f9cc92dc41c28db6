"""Where the rings are put together: a client over the port, and the port over aetcd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from aioelection._aio.clock import Clock
from aioelection._aio.hooks import Hooks, hooks_of
from aioelection._aio.resolve import resolved
from aioelection._core import checks
from aioelection._core.endpoints import Endpoint, parse_endpoints
from aioelection._core.events import Hook
from aioelection._shell.hub import Hub
from aioelection._transport.aetcd import AdoptedTransport, AetcdTransport, AetcdWords
from aioelection._transport.port import Status, Words
from aioelection.client import Client
from aioelection.errors import ElectionError, InvalidConfiguration, Unavailable
from aioelection.tls import TLS

if TYPE_CHECKING:
    import aetcd

log = logging.getLogger("aioelection")


def connect(
    endpoints: str | Iterable[str],
    *,
    tls: TLS | None = None,
    username: str | None = None,
    password: str | None = None,
    connect_timeout: float = 5.0,
    discover: bool = True,
    hooks: Hook | Iterable[Hook] = (),
) -> contextlib.AbstractAsyncContextManager[Client]:
    """Connect to an etcd cluster for the length of an ``async with`` block.

    Args:
        endpoints: one or many, as ``"http://a:2379,http://b:2379"`` or as a list; the first that answers is used, and
            the next when it fails.
        tls: certificates, for ``https`` endpoints; without it gRPC's own authorities are trusted.
        username: etcd's user, with ``password``, where authentication is on.
        password: never shown in any message.
        connect_timeout: seconds within which one endpoint has to answer.
        discover: learn the other members from the cluster, and keep the list up to date; turn it off where the
            addresses that members advertise cannot be reached from here (NAT). Endpoints named here stay in use anyway.
        hooks: called with what happens on this client, for metrics and the like: see ``aioelection.instrument``.

    Raises:
        InvalidConfiguration: at the call: an argument cannot work; the message names it.
        Unavailable: on entry: no endpoint answered in time; the message names every one, and what it said.
        Unauthenticated: on entry: the user or the password is wrong.

    Cancelled on entry or within, everything that was opened is closed.
    """
    parsed = parse_endpoints(endpoints, secure=tls is not None)
    if (username is None) != (password is None):
        raise InvalidConfiguration("username and password go together, but only one of them is given")
    if tls is not None and not isinstance(tls, TLS):
        raise InvalidConfiguration(f"tls must be an aioelection.TLS, not {type(tls).__name__}")
    timeout = checks.seconds(connect_timeout, "connect_timeout")
    transport = AetcdTransport(tls, username, password)
    return _connected(transport, parsed, timeout, discover=bool(discover), hooks=hooks_of(hooks))


def words() -> Words:
    """The words in which users write compares and operations, for a transport of another kind."""
    return AetcdWords()


def adopt(client: aetcd.Client, hooks: Hook | Iterable[Hook] = ()) -> Hub:
    """A hub over the channel of an ``aetcd.Client``."""
    transport = AdoptedTransport(client)
    return Hub(transport, (transport.endpoint,), hooks=hooks_of(hooks))


@contextlib.asynccontextmanager
async def _connected(
    transport: AetcdTransport,
    endpoints: tuple[Endpoint, ...],
    timeout: float,
    *,
    discover: bool,
    hooks: Hooks | None,
) -> AsyncIterator[Client]:
    clock = Clock()
    deadline = clock.now() + timeout
    with contextlib.suppress(TimeoutError):  # gRPC may resolve it yet, and says what is wrong
        async with asyncio.timeout(timeout):
            endpoints = await resolved(endpoints)
    hub = Hub(transport, endpoints, clock, hooks)
    client = Client(hub)
    try:
        hub.check_use()
        _warn_of(await _first_answer(hub, deadline - clock.now()))
        hub.caretaker.start(learn=discover)
        yield client
    finally:
        await client.aclose()


async def _first_answer(hub: Hub, timeout: float) -> Status:
    """Ask every endpoint at once; the first that answers is the one to use."""
    asked = {asyncio.ensure_future(_ask(hub, each, timeout)): each for each in hub.pool.roster}
    failures: dict[Endpoint, ElectionError] = {}
    try:
        for answer in asyncio.as_completed(asked):
            endpoint, outcome = await answer
            if isinstance(outcome, Status):
                hub.pool.roster.prefer(endpoint)
                return outcome
            failures[endpoint] = outcome
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    raise _nobody(failures)


async def _ask(hub: Hub, endpoint: Endpoint, timeout: float) -> tuple[Endpoint, Status | ElectionError]:
    """What the endpoint answers within the time; while it refuses connections it is asked again."""
    deadline = hub.clock.now() + timeout
    while True:
        try:
            left = max(0.001, deadline - hub.clock.now())
            status = await hub.pool.connection(endpoint).status(timeout=left)
            hub.pool.roster.answered(endpoint, status.header.member_id)
            return endpoint, status
        except Unavailable as error:
            if hub.clock.now() + 0.1 >= deadline:
                return endpoint, error
        except ElectionError as error:
            return endpoint, error
        await asyncio.sleep(0.1)


def _nobody(failures: dict[Endpoint, ElectionError]) -> ElectionError:
    """Credentials that were refused say more than endpoints that were silent."""
    for error in failures.values():
        if not isinstance(error, Unavailable):
            return error
    return Unavailable("no etcd endpoint answered: " + "; ".join(str(error) for error in failures.values()))


def _warn_of(status: Status) -> None:
    """etcd issue 15247: a leader that was frozen can revoke leases that are alive; mostly mended since 3.5.13."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", status.version)
    if match is None:
        return
    major, minor, patch = map(int, match.groups())
    mended = {(3, 4): 31, (3, 5): 13}.get((major, minor), 0 if (major, minor) > (3, 5) else 1_000_000)
    if patch < mended:
        log.warning(
            "etcd %s can revoke leases that are alive after its leader was frozen (etcd issue 15247); "
            "upgrade to 3.5.13 or later",
            status.version,
        )
