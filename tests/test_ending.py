"""How ``async with leadership.campaign(...)`` ends, on a real etcd: who is told what, and that the body ends first."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aetcd
import anyio
import pytest
from anyio.lowlevel import checkpoint

from aioelection import (
    Client,
    InvalidState,
    Leadership,
    LeadershipLost,
    Lease,
    LossReason,
    State,
    Term,
    Unavailable,
    connect,
    get_leader,
)
from aioelection.campaign import OnLoss
from tests.support import TTL, Proxy, Stranger, beside, eventually, soon, throughout
from tests.suspensions import ActsAt, starting

LONG = 60
"""Seconds of a lease that nobody expects to expire here: what is gone was given up."""


@dataclass
class Setting:
    """A leadership that reaches etcd through a proxy, and a stranger who does not."""

    leadership: Leadership
    proxy: Proxy
    stranger: Stranger

    async def key(self) -> Any:
        return await self.stranger.get(self.leadership.leader_key)

    async def guarded(self) -> None:
        """Wait until the key is watched: a loss will be noticed."""
        pump = self.leadership.client.hub.watches
        await eventually(lambda: pump._served and pump._outbox.empty())


@pytest.fixture
async def setting(far_client: Client, proxy: Proxy, stranger: Stranger, unique_key: str) -> AsyncIterator[Setting]:
    """Nothing of the test is left a second later."""
    before = await stranger.leases()
    yield Setting(Leadership(far_client, unique_key), proxy, stranger)
    await eventually(lambda: stranger.no_lease_but(before), within=1)
    assert await stranger.get(unique_key) is None


@pytest.fixture
def leadership(setting: Setting) -> Leadership:
    return setting.leadership


async def _equal(awaitable: Awaitable[Any], value: object) -> bool:
    return bool(await awaitable == value)


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


# ---------------------------------------------------------------------- losses at one's command


async def delete(setting: Setting) -> LossReason:
    await setting.stranger.delete(setting.leadership.leader_key)
    return LossReason.DELETED


async def overwrite(setting: Setting) -> LossReason:
    await setting.stranger.put(setting.leadership.leader_key, b"somebody else's")
    return LossReason.OVERWRITTEN


async def revoke(setting: Setting) -> LossReason:
    assert setting.leadership.lease is not None
    await setting.stranger.revoke(setting.leadership.lease.id)
    return LossReason.REVOKED


async def expire(setting: Setting) -> LossReason:
    setting.proxy.hold("requests")
    return LossReason.EXPIRED


async def resign(setting: Setting) -> LossReason:
    """From another task, which goes on when the body has ended."""
    _background.add(asyncio.ensure_future(setting.leadership.resign()))
    return LossReason.RESIGNED


async def close_client(setting: Setting) -> LossReason:
    _background.add(asyncio.ensure_future(setting.leadership.client.aclose()))
    return LossReason.CLOSED


_background: set[asyncio.Task[Any]] = set()

Loss = Callable[[Setting], Awaitable[LossReason]]
LOSSES: list[Loss] = [delete, overwrite, revoke, expire, resign, close_client]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


async def given_back(setting: Setting, reason: LossReason) -> None:
    """Everything is as it was before the campaign; what a loss needed is put away."""
    assert this_task().cancelling() == 0
    setting.proxy.release()
    while _background:
        await soon(_background.pop())
    assert setting.leadership.state is (State.CLOSED if reason is LossReason.CLOSED else State.IDLE)
    if reason is LossReason.OVERWRITTEN:  # the key is the stranger's now
        await setting.stranger.delete(setting.leadership.leader_key)
    # A renewal that was under way when the term expired may come late, and lets the lease live once more.
    within = TTL + 1 if reason is LossReason.EXPIRED else 1
    await eventually(lambda: _equal(setting.key(), None), within=within)


# ---------------------------------------------------------------------- the body ends by itself


@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_body_returns(on_loss: OnLoss, leadership: Leadership, stranger: Stranger) -> None:
    async with leadership.campaign(LONG, b"me", on_loss=on_loss) as term:
        assert term.check()
        assert leadership.state is State.LEADING
    assert (await stranger.get(leadership.leader_key), leadership.state) == (None, State.IDLE)
    assert (term.loss_reason, term.lost.is_set(), term.check()) == (LossReason.RESIGNED, True, False)


class Sudden(BaseException):
    """No Exception."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        ExceptionGroup("several", [ValueError("one"), TypeError("another")]),
        BaseExceptionGroup("worse", [KeyboardInterrupt(), ValueError("one")]),
        KeyboardInterrupt(),
        SystemExit(3),
        Sudden(),
        LeadershipLost(LossReason.EXPIRED, b"another's"),
        asyncio.CancelledError("from a future that was cancelled"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_body_raises(error: BaseException, on_loss: OnLoss, leadership: Leadership, stranger: Stranger) -> None:
    caught: BaseException | None = None
    term: Term | None = None
    try:
        async with leadership.campaign(LONG, b"me", on_loss=on_loss) as term:
            raise error
    except BaseException as raised:  # noqa: BLE001 (all of them are the point)
        caught = raised
    assert caught is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert (await stranger.get(leadership.leader_key), leadership.state) == (None, State.IDLE)
    assert term is not None
    assert term.loss_reason is LossReason.RESIGNED
    assert this_task().cancelling() == 0


@each_loss
async def test_body_raises_after_a_loss(loss: Loss, setting: Setting) -> None:
    """What it raises of itself goes before the loss."""
    error = ValueError("in the clean-up")
    reason: LossReason | None = None
    with pytest.raises(ValueError, match="in the clean-up") as raised:
        async with setting.leadership.campaign(TTL, b"me") as term:
            await setting.guarded()
            try:
                await loss(setting)
                await anyio.sleep_forever()
            finally:
                reason = term.loss_reason
                raise error
    assert raised.value is error
    assert reason is not None
    assert (term.check(), term.loss_reason) == (False, reason)
    await given_back(setting, reason)


# ---------------------------------------------------------------------- a loss


async def sleeping() -> None:
    await anyio.sleep_forever()


async def swallowing() -> None:
    """Returns as if nothing had happened."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def stubborn() -> None:
    """Swallows the cancellation again and again before it returns."""
    for _ in range(3):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def in_grpc() -> None:
    """A call of the user's own, to a port where nobody answers: its cancellation bears no mark."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        user = aetcd.Client(*silent.getsockname())
        try:
            await user.connect()
            await user.get(b"x")
        finally:
            with anyio.CancelScope(shield=True):
                await user.close()


async def in_asyncio_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(in_grpc())


async def awaiting_in_asyncio_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        await in_grpc()


async def in_anyio_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        group.start_soon(in_grpc)


async def awaiting_in_anyio_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        await in_grpc()


async def in_timeouts() -> None:
    with anyio.move_on_after(60):
        async with asyncio.timeout(60):
            await asyncio.wait_for(in_grpc(), 60)


Body = Callable[[], Awaitable[None]]
BODIES: list[Body] = [
    sleeping,
    swallowing,
    stubborn,
    in_grpc,
    in_asyncio_group,
    awaiting_in_asyncio_group,
    in_anyio_group,
    awaiting_in_anyio_group,
    in_timeouts,
]
each_body = pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)


@each_body
async def test_loss_in_every_body(body: Body, setting: Setting) -> None:
    await _loss_cancels(body, delete, setting)


@each_loss
async def test_every_loss(loss: Loss, setting: Setting) -> None:
    await _loss_cancels(sleeping, loss, setting)


async def _loss_cancels(body: Body, loss: Loss, setting: Setting) -> None:
    async def lose() -> LossReason:
        await setting.guarded()
        return await loss(setting)

    with pytest.raises(LeadershipLost) as lost:
        async with setting.leadership.campaign(TTL, b"me") as term:
            losing = asyncio.ensure_future(lose())
            await soon(body())
    reason = await losing
    assert (lost.value.reason, term.loss_reason) == (reason, reason)
    assert lost.value.leader_key == setting.leadership.leader_key
    assert lost.value.__cause__ is None
    assert lost.value.__suppress_context__
    await given_back(setting, reason)


@pytest.mark.parametrize("loss", [each for each in LOSSES if each is not resign], ids=lambda loss: loss.__name__)
async def test_loss_by_event(loss: Loss, setting: Setting) -> None:
    """Nobody is cancelled, nothing is raised; the term tells, and the body goes on for as long as it wants."""
    async with setting.leadership.campaign(TTL, b"me", on_loss="event") as term:
        await setting.guarded()
        reason = await loss(setting)
        await soon(term.lost.wait())
        assert (term.check(), term.loss_reason) == (False, reason)
        for _ in range(10):
            await asyncio.sleep(0)
        assert this_task().cancelling() == 0
    assert term.loss_reason is reason
    await given_back(setting, reason)


async def test_client_closed_by_a_child_of_the_body(setting: Setting) -> None:
    client = setting.leadership.client
    with pytest.raises(LeadershipLost) as lost:
        async with setting.leadership.campaign(LONG, b"me"), asyncio.timeout(3), asyncio.TaskGroup() as group:
            group.create_task(client.aclose())
    assert lost.value.reason is LossReason.CLOSED
    await soon(client.aclose())
    await given_back(setting, LossReason.CLOSED)


async def test_loss_after_the_body_is_a_resignation(setting: Setting) -> None:
    """The key is deleted by somebody while ``__aexit__`` tries to release it."""
    leadership = setting.leadership

    async def lead() -> Term:
        async with leadership.campaign(LONG, b"me") as term:
            await setting.guarded()
            setting.proxy.hold("requests")
        return term

    leading = asyncio.ensure_future(lead())
    await eventually(lambda: setting.proxy.held["requests"])
    assert leadership.state is State.RESIGNING
    await delete(setting)
    setting.proxy.release()
    assert (await soon(leading)).loss_reason is LossReason.RESIGNED


# ---------------------------------------------------------------------- a cancellation from outside


Outer = Callable[[Callable[[], Coroutine[Any, Any, None]], Callable[[], bool]], Awaitable[None]]
"""Runs a coroutine, cancels it from outside as soon as the condition holds, and catches the cancellation."""


async def by_scope(operation: Callable[[], Coroutine[Any, Any, None]], reached: Callable[[], bool]) -> None:
    with anyio.CancelScope() as scope:
        async with beside(_then(reached, scope.cancel)):
            await operation()
    assert scope.cancelled_caught


async def by_task(operation: Callable[[], Coroutine[Any, Any, None]], reached: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(operation())
    async with beside(_then(reached, task.cancel)):
        await asyncio.wait([task])
    assert task.cancelled()


async def by_timeout(operation: Callable[[], Coroutine[Any, Any, None]], reached: Callable[[], bool]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:
            async with beside(_then(reached, lambda: timeout.reschedule(0))):
                await operation()


async def _then(reached: Callable[[], bool], act: Callable[[], object]) -> None:
    await eventually(reached)
    act()


each_outer = pytest.mark.parametrize("outer", [by_scope, by_task, by_timeout], ids=lambda outer: outer.__name__)


@each_outer
@pytest.mark.parametrize("body", [sleeping, in_grpc, awaiting_in_asyncio_group, awaiting_in_anyio_group])
@pytest.mark.parametrize("lost", ["before", "after", "not"])
@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_outer_cancellation(outer: Outer, body: Body, lost: str, on_loss: OnLoss, setting: Setting) -> None:
    """It reaches who asked for it, also when the term is lost at the same instant."""
    inside = False

    def reached() -> bool:
        if inside and lost == "before":
            setting.leadership._seat.tenure.end(LossReason.DELETED)  # type: ignore[union-attr]
        return inside

    async def lead() -> None:
        nonlocal inside
        async with setting.leadership.campaign(LONG, b"me", on_loss=on_loss) as term:
            inside = True
            try:
                await body()
            finally:
                if lost == "after":
                    setting.leadership._seat.tenure.end(LossReason.DELETED)  # type: ignore[union-attr]
                    assert term.loss_reason is LossReason.DELETED

    await soon(outer(lead, reached))
    assert this_task().cancelling() == 0
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_a_scope_around_it_reaches_beyond_a_body_that_swallows(on_loss: OnLoss, setting: Setting) -> None:
    inside = False

    async def lead() -> None:
        nonlocal inside
        async with setting.leadership.campaign(LONG, b"me", on_loss=on_loss):
            inside = True
            await swallowing()

    await soon(by_scope(lead, lambda: inside))
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


async def test_a_task_cancel_that_the_body_swallows_is_the_bodys_affair(setting: Setting) -> None:
    """As it is without us: the count of ``cancelling()`` alone proves nothing."""

    async def lead() -> str:
        async with setting.leadership.campaign(LONG, b"me"):
            await swallowing()
        return "went on"

    leading = asyncio.ensure_future(lead())
    await eventually(setting.leadership.check)
    leading.cancel()
    assert await soon(leading) == "went on"
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


async def failing_in_a_group() -> None:
    """Before Python 3.13 this leaves ``cancelling()`` at 1: the group failed while it waited for its tasks."""

    async def fail() -> None:
        raise ValueError("broken")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


async def test_a_group_that_failed_in_the_body_and_was_handled_is_no_cancellation(setting: Setting) -> None:
    async with setting.leadership.campaign(LONG, b"me"):
        with pytest.raises(ExceptionGroup):
            await failing_in_a_group()
    with pytest.raises(LeadershipLost) as lost:
        async with setting.leadership.campaign(LONG, b"me"):
            with pytest.raises(ExceptionGroup):
                await failing_in_a_group()
            await setting.guarded()
            await delete(setting)
            await soon(asyncio.Event().wait())
    assert lost.value.reason is LossReason.DELETED


async def test_a_loss_while_the_body_answers_a_task_cancel(setting: Setting) -> None:
    """The cancellation was there first, and the loss cancels only the clean-up: it must not take its place."""
    cleaning = asyncio.Event()

    async def lead() -> None:
        async with setting.leadership.campaign(LONG, b"me"):
            try:
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await asyncio.Event().wait()

    leading = asyncio.ensure_future(lead())
    await eventually(setting.leadership.check)
    await setting.guarded()
    leading.cancel()
    await soon(cleaning.wait())
    await delete(setting)
    with pytest.raises(asyncio.CancelledError):
        await soon(leading)
    assert leading.cancelled()


@each_outer
async def test_renewals_go_on_while_the_body_cleans_up(outer: Outer, setting: Setting) -> None:
    """For longer than the lease, after a cancellation from outside: the key goes when the body has ended."""
    inside = False
    cleaned: list[bool] = []

    async def lead() -> None:
        nonlocal inside
        async with setting.leadership.campaign(TTL, b"me") as term:
            inside = True
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await throughout(TTL + 1.5, term.check)
                    cleaned.append((await setting.key()).create_revision == term.fencing_token)

    await outer(lead, lambda: inside)
    assert cleaned == [True]
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


@each_outer
async def test_cancelled_while_it_releases(outer: Outer, setting: Setting) -> None:
    """The release is carried out all the same."""

    async def lead() -> None:
        async with setting.leadership.campaign(LONG, b"me"):
            setting.proxy.hold("requests")
        await checkpoint()

    def reached() -> bool:
        if setting.leadership.state is State.RESIGNING and setting.proxy.held["requests"]:
            asyncio.get_running_loop().call_later(0.05, setting.proxy.release)
            return True
        return False

    await soon(outer(lead, reached))
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


async def test_body_raises_and_a_scope_is_cancelled_while_it_releases(setting: Setting) -> None:
    """What was decided stays: the body's error goes first, and the scope speaks at the next checkpoint. No spin."""
    error = ValueError("a bug")

    async def cancel(scope: anyio.CancelScope) -> None:
        await eventually(lambda: setting.leadership.state is State.RESIGNING and setting.proxy.held["requests"])
        scope.cancel()
        await asyncio.sleep(0.5)
        setting.proxy.release()

    raised: BaseException | None = None
    busy = 0.0
    with anyio.CancelScope() as scope:
        async with beside(cancel(scope)):
            try:
                async with setting.leadership.campaign(LONG, b"me"):
                    setting.proxy.hold("requests")
                    busy = time.thread_time()
                    raise error
            except BaseException as told:  # noqa: BLE001 (what it is, is the point)
                raised = told
                busy = time.thread_time() - busy
        await checkpoint()
        pytest.fail("not cancelled")
    assert scope.cancelled_caught
    assert raised is error
    assert busy < 0.25, "half a second was waited for"
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


async def test_in_a_task_that_was_cancelled_before(setting: Setting) -> None:
    """Its ``cancelling()`` is above 0 all the time: that is no cancellation of the body."""
    leadership = setting.leadership

    async def lead() -> str:
        task = this_task()
        with contextlib.suppress(asyncio.CancelledError):
            task.cancel()
            await asyncio.sleep(60)
        assert task.cancelling() == 1
        async with leadership.campaign(TTL, b"me"):
            await asyncio.sleep(0)
        with pytest.raises(LeadershipLost):
            async with leadership.campaign(TTL, b"me"):
                await setting.guarded()
                await delete(setting)
                await in_grpc()
        with pytest.raises(ZeroDivisionError):
            async with leadership.campaign(TTL, b"me"):
                await get_leader(leadership.client, leadership.leader_key)
                raise ZeroDivisionError
        assert task.cancelling() == 1
        return "to its end"

    task = asyncio.ensure_future(lead())
    await soon(asyncio.wait([task]))
    assert task.result() == "to its end"


async def test_left_by_another_task(setting: Setting) -> None:
    """An error of the user's, told by anyio; the key is given up, and the task that entered is left in peace."""
    async with contextlib.AsyncExitStack() as stack:
        entered = asyncio.Event()

        async def enter() -> str:
            await stack.enter_async_context(setting.leadership.campaign(LONG, b"me"))
            entered.set()
            await asyncio.sleep(0.1)
            return "in peace"

        entering = asyncio.ensure_future(enter())
        await entered.wait()
        with pytest.raises(RuntimeError, match="different task"):
            await stack.aclose()
        assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)
        assert await entering == "in peace"


# ---------------------------------------------------------------------- given up inside the body

GIVING_UP = {
    "resign": Leadership.resign,
    "reset": Leadership.reset,
    "delete_leader_key": Leadership.delete_leader_key,
}
each_giving_up = pytest.mark.parametrize("give_up", GIVING_UP.values(), ids=GIVING_UP.keys())
GiveUp = Callable[[Leadership], Coroutine[Any, Any, None]]


@each_giving_up
@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_given_up_by_the_body(give_up: GiveUp, on_loss: OnLoss, setting: Setting) -> None:
    """The key goes at once, the body goes on, and nothing is raised."""
    async with setting.leadership.campaign(LONG, b"me", on_loss=on_loss) as term:
        await give_up(setting.leadership)
        assert await setting.key() is None
        assert (term.check(), term.loss_reason) == (False, LossReason.RESIGNED)
        assert setting.leadership.state is State.IDLE
        await asyncio.sleep(0.05)
        with pytest.raises(InvalidState, match="body"):
            await setting.leadership.campaign(TTL, b"again")
    assert setting.leadership.state is State.IDLE


async def test_resigned_by_the_body_out_of_reach(setting: Setting) -> None:
    """The body is told that etcd does not answer; that it resigned it knows: nothing is raised at the end."""
    async with setting.leadership.campaign(TTL, b"me") as term:
        setting.proxy.hold("requests")
        with pytest.raises(Unavailable):
            await setting.leadership.resign()
        assert term.loss_reason is LossReason.RESIGNED
        setting.proxy.release()
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


@each_giving_up
async def test_given_up_by_another_task(give_up: GiveUp, setting: Setting) -> None:
    """The body is cancelled and awaited before the key goes, by etcd's own count."""
    leadership, stranger = setting.leadership, setting.stranger
    last_write = leadership.leader_key + b"/last-write"
    inside = asyncio.Event()

    async def lead() -> None:
        async with leadership.campaign(TTL, b"me") as term:
            inside.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    assert not term.check(), "it is given up"
                    await asyncio.sleep(TTL + 1)
                    assert (await setting.key()).create_revision == term.fencing_token, "but the key is still there"
                    await stranger.put(last_write, b"x")

    async with aetcd.Client(stranger.client._host, stranger.client._port) as watcher:
        deletions = await watcher.watch(leadership.leader_key, kind=aetcd.rtypes.EventKind.DELETE)
        leading = asyncio.ensure_future(lead())
        await inside.wait()
        await setting.guarded()
        await soon(give_up(leadership))
        assert await setting.key() is None, "it returned, so the key is gone"
        with pytest.raises(LeadershipLost) as lost:
            await soon(leading)
        deleted = (await soon(anext(aiter(deletions)))).kv.mod_revision
    assert lost.value.reason is LossReason.RESIGNED
    assert (await stranger.get(last_write)).mod_revision < deleted
    await stranger.delete(last_write)
    assert leadership.state is State.IDLE


@each_giving_up
@pytest.mark.parametrize("library", ["asyncio", "anyio"])
@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_given_up_by_a_child_of_the_body(
    give_up: GiveUp, on_loss: OnLoss, library: str, setting: Setting
) -> None:
    """It is another task: the body is cancelled, and the child with it, which does not hinder the end."""
    with pytest.raises(LeadershipLost) as lost:
        async with setting.leadership.campaign(LONG, b"me", on_loss=on_loss):
            if library == "asyncio":
                async with asyncio.TaskGroup() as children:
                    children.create_task(give_up(setting.leadership))
                    await soon(anyio.sleep_forever())
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(give_up, setting.leadership)
                    await soon(anyio.sleep_forever())
    assert lost.value.reason is LossReason.RESIGNED
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


async def test_given_up_by_another_task_that_is_cancelled(setting: Setting) -> None:
    """While it waits for the body: the body ends all the same, and releases."""
    inside, ending, end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        async with setting.leadership.campaign(LONG, b"me"):
            inside.set()
            try:
                await anyio.sleep_forever()
            finally:
                ending.set()
                with anyio.CancelScope(shield=True):
                    await end.wait()

    leading = asyncio.ensure_future(lead())
    await inside.wait()
    async with beside(setting.leadership.resign()):
        await ending.wait()
    assert await setting.key() is not None
    end.set()
    with pytest.raises(LeadershipLost):
        await soon(leading)
    assert (setting.leadership.state, await setting.key()) == (State.IDLE, None)


@pytest.mark.parametrize("times", [1, 2])
async def test_client_closed_by_another_task(times: int, setting: Setting) -> None:
    """The body is cancelled and awaited before the key goes, as ``aclose`` returns; a second one waits too."""
    leadership = setting.leadership
    inside = asyncio.Event()
    there: list[bool] = []

    async def lead() -> None:
        async with leadership.campaign(LONG, b"me"):
            inside.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await asyncio.sleep(0.1)
                    there.append(await setting.key() is not None)

    leading = asyncio.ensure_future(lead())
    await inside.wait()
    closings = [asyncio.ensure_future(leadership.client.aclose()) for _ in range(times)]
    await soon(asyncio.wait(closings, return_when=asyncio.FIRST_COMPLETED))
    assert there == [True]
    assert (leadership.state, await setting.key()) == (State.CLOSED, None)
    await asyncio.gather(*closings)
    with pytest.raises(LeadershipLost) as lost:
        await soon(leading)
    assert lost.value.reason is LossReason.CLOSED


async def test_client_closed_by_the_body(setting: Setting) -> None:
    """It is not waited for, and is cancelled at its next await."""
    with pytest.raises(LeadershipLost) as lost:
        async with setting.leadership.campaign(LONG, b"me"):
            await soon(setting.leadership.client.aclose())
            assert (setting.leadership.state, await setting.key()) == (State.CLOSED, None)
            await checkpoint()
            pytest.fail("not cancelled")
    assert lost.value.reason is LossReason.CLOSED


async def test_released_once_by_all_who_want_to(
    endpoint: str, stranger: Stranger, unique_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """``keep``, a resignation and the client's closing at one time: the one that comes last finds nothing to do."""
    for _ in range(10):
        async with connect(endpoint) as client:
            leadership = Leadership(client, unique_key)
            await leadership.campaign(LONG, b"me")
            async with beside(leadership.keep()):
                pump = client.hub.watches
                await eventually(lambda: pump._served and pump._outbox.empty())  # noqa: B023
                await asyncio.gather(client.aclose(), leadership.resign(), leadership.reset())
        assert await stranger.get(unique_key) is None
    assert [each for each in caplog.messages if "left to expire" in each] == []


@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "answered"])
async def test_client_closed_while_the_campaign_wins(
    answered: bool, endpoint: str, stranger: Stranger, unique_key: str
) -> None:
    """However far it has come: it is no win, or one that is lost at once, and nothing is left."""
    before = await stranger.leases()
    for k in itertools.count():
        async with connect(endpoint) as client:
            leadership = Leadership(client, unique_key)
            closing: list[asyncio.Task[None]] = []
            act = starting(client.aclose, closing)
            campaign = ActsAt(leadership.campaign(LONG, b"me"), k, act, answered=answered)
            try:
                term = await soon(campaign)
            except InvalidState as error:
                assert "closed" in str(error)  # noqa: PT017
                term = None
            await asyncio.gather(*closing)
            if not campaign.reached:
                await client.aclose()
            assert leadership.state is State.CLOSED
            assert term is None or term.loss_reason is LossReason.CLOSED
            assert await stranger.no_lease_but(before) and await stranger.get(unique_key) is None
        if not campaign.reached:
            break
    assert k > 1, "it waits for a lease and for the key"


# ---------------------------------------------------------------------- two at a time


@pytest.mark.parametrize("lost", ["inner", "outer", "both"])
async def test_nested_campaigns(lost: str, setting: Setting, unique_key: str) -> None:
    """Each loss ends its own body, and all that is within it."""
    client = setting.leadership.client
    leaderships = {name: Leadership(client, f"{unique_key}/{name}") for name in ("outer", "inner")}
    told: list[bytes | str] = []

    async def lead() -> None:
        try:
            async with leaderships["outer"].campaign(TTL, b"me"):
                try:
                    async with leaderships["inner"].campaign(TTL, b"me"):
                        await setting.guarded()
                        for name in leaderships if lost == "both" else [lost]:
                            await setting.stranger.delete(leaderships[name].leader_key)
                        await in_grpc()
                except LeadershipLost as inner:
                    told.append(inner.leader_key)
                await checkpoint()
                told.append("the outer body goes on")
        except LeadershipLost as outer:
            told.append(outer.leader_key)

    await soon(lead())
    assert this_task().cancelling() == 0
    outer_key, inner_key = (each.leader_key for each in leaderships.values())
    assert (
        told
        in {
            "inner": ([inner_key, "the outer body goes on"],),
            "outer": ([outer_key],),
            "both": ([outer_key], [inner_key, outer_key]),  # an outer cancellation goes first, if it is there by then
        }[lost]
    )
    assert {each.state for each in leaderships.values()} == {State.IDLE}


async def test_one_lease_and_key_for_one_campaign(client: Client, stranger: Stranger, unique_key: str) -> None:
    """Made before either stood: the second would find the first one's key, and take it for its own."""
    lease = Lease(client)
    await lease.grant(TTL)
    leaderships = [Leadership(client, unique_key) for _ in range(2)]
    campaigns = [each.campaign(TTL, b"me", lease=lease) for each in leaderships]
    term = await campaigns[0]
    with pytest.raises(InvalidState, match="lease"):
        await soon(campaigns[1])
    assert [each.check() for each in leaderships] == [True, False]
    assert (await stranger.get(unique_key)).create_revision == term.fencing_token
    assert {each.state for each in leaderships} == {State.LEADING, State.IDLE}
    await lease.close()
