"""Every operation cancelled at each suspension there is, on virtual time: nothing is left, and the next one leads."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from aioelection import Client, Leadership, Lease, State, Term
from aioelection.testing import MemoryEtcd
from aioelection.testing._link import Method, When
from tests.memory.helpers import until
from tests.suspensions import ActsAt

KEY = "/sweep/leader"
TTL = 30

Operation = Callable[[], Awaitable[Any]]
Case = Callable[[Client, Client], AbstractAsyncContextManager[Operation]]


@contextlib.asynccontextmanager
async def granting(client: Client, _: Client) -> AsyncIterator[Operation]:
    lease = Lease(client)
    yield lambda: lease.grant(TTL)
    await lease.close()


@contextlib.asynccontextmanager
async def on_own_lease(client: Client, _: Client) -> AsyncIterator[Operation]:
    leadership = Leadership(client, KEY)
    yield lambda: leadership.campaign(TTL, b"me")
    assert leadership.state is (State.LEADING if leadership.check() else State.IDLE)
    await leadership.resign()


@contextlib.asynccontextmanager
async def on_shared_lease(client: Client, _: Client) -> AsyncIterator[Operation]:
    leadership, lease = Leadership(client, KEY), Lease(client)
    await lease.grant(TTL)
    yield lambda: leadership.campaign(TTL, b"me", lease=lease)
    await leadership.resign()
    await asyncio.sleep(1)
    assert not lease.is_expired(), "it is not the campaign's to end"
    await lease.close()


def entered(*, shared: bool) -> Case:
    @contextlib.asynccontextmanager
    async def case(client: Client, _: Client) -> AsyncIterator[Operation]:
        leadership, lease = Leadership(client, KEY), Lease(client)
        if shared:
            await lease.grant(TTL)

        async def lead() -> None:
            async with leadership.campaign(TTL, b"me", lease=lease if shared else None):
                await asyncio.sleep(0)

        yield lead
        assert leadership.state is State.IDLE
        await asyncio.sleep(1)
        assert lease.is_expired() != shared
        await lease.close()

    return case


def behind_another(case: Case) -> Case:
    """The other leaves a moment later."""

    @contextlib.asynccontextmanager
    async def behind(client: Client, other_client: Client) -> AsyncIterator[Operation]:
        other = Leadership(other_client, KEY)

        async def leave() -> None:
            await asyncio.sleep(0.1)
            await other.resign()

        await other.campaign(TTL, b"another")
        leaving = asyncio.ensure_future(leave())
        async with case(client, other_client) as operation:
            yield operation
            await leaving

    return behind


def with_a_term(means: Callable[[Leadership], Operation], *, kept: bool) -> Case:
    @contextlib.asynccontextmanager
    async def case(client: Client, _: Client) -> AsyncIterator[Operation]:
        leadership = Leadership(client, KEY)
        await leadership.campaign(TTL, b"me")
        keeping = asyncio.ensure_future(leadership.keep()) if kept else None
        yield means(leadership)
        await leadership.resign()
        if keeping is not None:
            await keeping

    return case


def keeping(leadership: Leadership) -> Operation:
    async def keep() -> None:
        resigning = asyncio.get_running_loop().create_task(_later(leadership))
        try:
            await leadership.keep()
        finally:
            resigning.cancel()

    return keep


async def _later(leadership: Leadership) -> None:
    await asyncio.sleep(0.1)
    await leadership.resign()


@contextlib.asynccontextmanager
async def running(client: Client, _: Client) -> AsyncIterator[Operation]:
    async def serve(_: Term) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        with contextlib.suppress(ZeroDivisionError):
            await Leadership(client, KEY).run(serve, TTL, b"me")

    yield run


CASES: dict[str, Case] = {
    "grant": granting,
    "campaign": on_own_lease,
    "campaign on a shared lease": on_shared_lease,
    "async with": entered(shared=False),
    "async with on a shared lease": entered(shared=True),
    "campaign behind another": behind_another(on_own_lease),
    "campaign behind another on a shared lease": behind_another(on_shared_lease),
    "async with behind another": behind_another(entered(shared=False)),
    "async with behind another on a shared lease": behind_another(entered(shared=True)),
    "run": running,
    "keep": with_a_term(keeping, kept=False),
    "proclaim": with_a_term(lambda leadership: lambda: leadership.proclaim(b"again"), kept=False),
    "proclaim while kept": with_a_term(lambda leadership: lambda: leadership.proclaim(b"again"), kept=True),
    "resign": with_a_term(lambda leadership: leadership.resign, kept=False),
    "resign while kept": with_a_term(lambda leadership: leadership.resign, kept=True),
    "reset while kept": with_a_term(lambda leadership: leadership.reset, kept=True),
    "delete_leader_key while kept": with_a_term(lambda leadership: leadership.delete_leader_key, kept=True),
}


@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "answered"])
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("means", ["scope"] if "AIOELECTION_QUICK" in os.environ else ["task", "scope"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_row_32_at_each_suspension(
    case: Case, means: str, times: int, *, answered: bool, etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    for k in itertools.count():
        async with asyncio.timeout(20), case(client, other_client) as operation:
            reached = await _cancelled_at(k, operation, means, times, answered=answered)
        await asyncio.sleep(1)
        assert etcd.leases == {} and etcd.get(KEY) is None, f"left by a cancellation at suspension {k}"
        await _another_is_elected_at_once(other_client)
        if not reached:
            break
        assert k < 100
    assert k > 0, "it never waits"


async def _another_is_elected_at_once(client: Client) -> None:
    leadership = Leadership(client, KEY)
    async with asyncio.timeout(0.1):
        await leadership.campaign(TTL, b"next")
    await leadership.resign()


async def _cancelled_at(k: int, operation: Operation, means: str, times: int, *, answered: bool) -> bool:
    """Whether it came so far; that the cancellation is told to who asked is looked at here."""

    def cancel() -> None:
        (task if means == "task" else scope).cancel()
        if times == 2:  # the second, while it cleans up, is the task's whatever the first was
            asyncio.get_running_loop().call_soon(task.cancel)

    async def cancellable() -> None:
        with scope:
            awaited = ActsAt(operation(), k, cancel, answered=answered)
            try:
                await awaited
            finally:
                reached.append(awaited.reached)
            await asyncio.sleep(0)  # what was carried out before it was told of a cancellation tells it here

    reached: list[bool] = []
    scope = anyio.CancelScope()
    task = asyncio.ensure_future(cancellable())
    await asyncio.wait([task])
    if not reached[0]:
        assert not task.cancelled() and task.exception() is None
    elif times == 1 and means == "task":
        assert task.cancelled(), "a cancellation was swallowed"
    elif times == 1:
        assert not task.cancelled() and task.exception() is None and scope.cancelled_caught
    return reached[0]


# ---------------------------------------------------------------------- what an abandoned campaign left


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("delay", [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.05, 0.5, 0.999, 1.0, 1.001, 2.0])
async def test_a_key_that_an_abandoned_campaign_left_is_not_adopted(
    etcd: MemoryEtcd, client: Client, when: When, delay: float
) -> None:
    lease = Lease(client)
    await lease.grant(TTL)
    keeping = asyncio.ensure_future(lease.keep_alive())
    method: Method = "txn"
    with etcd.hold(method, when=when) as held:
        abandoned = asyncio.ensure_future(Leadership(client, KEY).campaign(TTL, b"abandoned", lease=lease))
        await held.reached()
        abandoned.cancel()
        await asyncio.wait([abandoned])
        again = Leadership(client, KEY)
        standing = asyncio.ensure_future(again.campaign(TTL, b"again", lease=lease))
        await asyncio.sleep(delay)
    await until(standing.done, 20)
    term = standing.result()
    for _ in range(1000):
        kv = etcd.get(KEY)
        assert kv is not None and kv.create_revision == term.fencing_token, "the term's key was swept away"
        await asyncio.sleep(0.005)
    assert term.check()
    await again.resign()
    await lease.close()
    await keeping


async def test_nor_is_one_that_is_being_swept_at_that_moment(etcd: MemoryEtcd, client: Client) -> None:
    """The sweep has seen that nobody claims the key, and its deletion is under way, when somebody stands anew."""
    lease = Lease(client)
    await lease.grant(TTL)
    with etcd.hold("txn", when="after") as held:
        abandoned = asyncio.ensure_future(Leadership(client, KEY).campaign(TTL, b"abandoned", lease=lease))
        await held.reached()
        abandoned.cancel()
        await asyncio.wait([abandoned])
    with etcd.hold("txn", when="before") as held:
        await held.reached()  # the sweep's deletion
        again = Leadership(client, KEY)
        standing = asyncio.ensure_future(again.campaign(TTL, b"again", lease=lease))
        await held.reached(2)
        held._waiting.pop(1).set_result(True)
        await asyncio.sleep(0.1)
        held.release()
        await asyncio.sleep(0.1)
    term = await asyncio.wait_for(standing, 5)
    await asyncio.sleep(2)
    kv = etcd.get(KEY)
    assert kv is not None and kv.create_revision == term.fencing_token, "the term's key was swept away"
    await again.resign()
    await lease.close()
