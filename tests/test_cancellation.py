"""Every public coroutine under every kind of cancellation, on a real etcd: who asked catches it, and nothing is left.

Situations where nothing answers use an etcd that is frozen; those where something is waited for use one that is well.
A sweep cancels at each suspension there is, before the awaited answer came and just as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aetcd
import anyio
import pytest
from aetcd.transactions import Put
from anyio.lowlevel import checkpoint

from aioelection import (
    Client,
    InvalidState,
    Leadership,
    Lease,
    LeaseExpired,
    State,
    Term,
    connect,
    get_leader,
    observe,
)
from aioelection.campaign import OnLoss
from tests.etcd import BackgroundEtcd, EtcdFactory
from tests.support import TTL, Proxy, Stranger, beside, eventually, freeze, soon
from tests.suspensions import ActsAt, starting

Operation = Callable[[], Awaitable[Any]]
Call = Callable[[], Coroutine[Any, Any, None]]
Condition = Callable[[], Any]


@contextlib.asynccontextmanager
async def leaves_nothing(stranger: Stranger, key: str, within: float = 1.0) -> AsyncIterator[None]:
    """What the block has started has left neither a lease nor the key, that long after it."""
    before = await stranger.leases()
    yield
    deadline = time.monotonic() + within
    while (left := (await stranger.leases() - before, await stranger.get(key))) != (set(), None):
        assert time.monotonic() < deadline, f"left: leases {left[0]}, key {left[1]}"
        await asyncio.sleep(0.01)


# ---------------------------------------------------------------------- ways of cancelling


@contextlib.asynccontextmanager
async def when(reached: Condition, act: Callable[[], Any]) -> AsyncIterator[None]:
    """Do something as soon as the situation is reached; it has to be, before the block is left."""

    async def watch() -> None:
        await eventually(reached)
        act()

    task = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        assert task.done(), "it ended before it was cancelled"
        task.result()


async def by_move_on_after(operation: Call, reached: Condition) -> None:
    with anyio.move_on_after(math.inf) as scope:
        async with when(reached, lambda: setattr(scope, "deadline", anyio.current_time())):
            await operation()
    assert scope.cancelled_caught


async def by_fail_after(operation: Call, reached: Condition) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(math.inf) as scope:
        async with when(reached, lambda: setattr(scope, "deadline", anyio.current_time())):
            await operation()


async def by_scope(operation: Call, reached: Condition) -> None:
    with anyio.CancelScope() as scope:
        async with when(reached, scope.cancel):
            await operation()
    assert scope.cancelled_caught


async def by_timeout(operation: Call, reached: Condition) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:
            async with when(reached, lambda: timeout.reschedule(asyncio.get_running_loop().time())):
                await operation()
    assert timeout.expired()


async def by_wait_for(operation: Call, reached: Condition) -> None:
    """Its time cannot be changed when the situation is reached: on a slow machine it comes before."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(operation(), 0.4)


async def by_anyio_group(operation: Call, reached: Condition) -> None:
    async with anyio.create_task_group() as group, when(reached, group.cancel_scope.cancel):
        group.start_soon(operation)
        await anyio.sleep_forever()


async def by_asyncio_group(operation: Call, reached: Condition) -> None:
    class SiblingFailed(Exception):
        pass

    async def sibling() -> None:
        await eventually(reached)
        raise SiblingFailed

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(operation())
            group.create_task(sibling())

    with pytest.raises(ExceptionGroup) as raised:
        # In a task of its own: until Python 3.13 a group leaves its parent's cancelling() too high.
        await asyncio.ensure_future(grouped())
    assert [type(each) for each in raised.value.exceptions] == [SiblingFailed]


async def by_task(operation: Call, reached: Condition) -> None:
    task = asyncio.ensure_future(operation())
    async with when(reached, task.cancel):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert task.cancelled()


async def by_task_twice(operation: Call, reached: Condition) -> None:
    """Once, again at once, and again while it cleans up."""

    def cancel() -> None:
        assert task.cancel()
        assert task.cancel()
        asyncio.get_running_loop().call_soon(task.cancel)
        asyncio.get_running_loop().call_later(0.01, task.cancel)

    task = asyncio.ensure_future(operation())
    async with when(reached, cancel):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert task.cancelled()


async def by_scope_and_task(operation: Call, reached: Condition) -> None:
    """Both at one instant: the scope must not swallow what is the task's."""

    async def scoped() -> None:
        with scope:
            await operation()

    def cancel() -> None:
        scope.cancel()
        task.cancel()

    scope = anyio.CancelScope()
    task = asyncio.ensure_future(scoped())
    async with when(reached, cancel):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert task.cancelled()


async def _coroutine(operation: Operation) -> None:
    await operation()
    await checkpoint()  # what has to be carried out tells an anyio scope's cancellation only now


Way = Callable[[Call, Condition], Awaitable[None]]
WAYS: list[Way] = [
    by_move_on_after,
    by_fail_after,
    by_scope,
    by_timeout,
    by_wait_for,
    by_anyio_group,
    by_asyncio_group,
    by_task,
    by_task_twice,
    by_scope_and_task,
]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


async def cancelled(way: Way, operation: Operation, reached: Condition, *, within: float = 1.0) -> None:
    """Cancel the operation that way: the cancellation is caught by who asked for it, in time, and by nobody else."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    at = math.inf

    async def noted() -> bool:
        nonlocal at
        result = reached()
        if inspect.isawaitable(result):
            result = await result
        if result:
            at = time.monotonic()
        return bool(result)

    await way(lambda: _coroutine(operation), noted)
    if way is not by_wait_for:
        assert time.monotonic() - at < within, f"took {time.monotonic() - at:.2f} s"
    assert task.cancelling() == before
    await asyncio.sleep(0)  # what was not caught yet would come now


# ---------------------------------------------------------------------- where something is waited for


@pytest.fixture
async def leader(other_client: Client, unique_key: str) -> AsyncIterator[Leadership]:
    """Another, who leads, and need not renew."""
    leadership = Leadership(other_client, unique_key)
    await leadership.campaign(60, b"another")
    yield leadership
    await leadership.resign()


def renewed(client: Client) -> bool:
    return bool(client.hub.renewals._leases)


def watching(client: Client) -> bool:
    """Every watch stands."""
    pump = client.hub.watches
    return bool(pump._watches) and pump._served and pump._outbox.empty()


@each_way
async def test_keep_alive(way: Way, client: Client, stranger: Stranger, unique_key: str) -> None:
    async with leaves_nothing(stranger, unique_key):
        lease = Lease(client)
        await lease.grant(TTL)
        await cancelled(way, lease.keep_alive, lambda: renewed(client))
        assert not lease.is_expired()
        assert not renewed(client)
        await lease.close()


@each_way
async def test_campaign_awaited(
    way: Way, client: Client, leader: Leadership, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    async with only_the_leader_is_left(stranger, leader):
        await cancelled(way, lambda: leadership.campaign(TTL, b"me"), lambda: following(leadership))
        assert leadership.state is State.IDLE


@each_way
async def test_campaign_entered(
    way: Way, client: Client, leader: Leadership, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)

    async def enter() -> None:
        async with leadership.campaign(TTL, b"me"):
            pytest.fail("another leads")

    async with only_the_leader_is_left(stranger, leader):
        await cancelled(way, enter, lambda: following(leadership))
        assert leadership.state is State.IDLE


@each_way
async def test_run_while_it_waits(
    way: Way, client: Client, leader: Leadership, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    async with only_the_leader_is_left(stranger, leader):
        await cancelled(
            way, lambda: leadership.run(lambda _: asyncio.sleep(0), TTL, b"me"), lambda: following(leadership)
        )
        assert leadership.state is State.IDLE


def following(leadership: Leadership) -> bool:
    return leadership.state is State.FOLLOWING and watching(leadership.client)


@contextlib.asynccontextmanager
async def only_the_leader_is_left(stranger: Stranger, leader: Leadership) -> AsyncIterator[None]:
    before = await stranger.leases()
    yield
    await eventually(lambda: stranger.no_lease_but(before), within=1)
    assert leader.check()
    assert leader.term is not None
    assert (await stranger.get(leader.leader_key)).create_revision == leader.term.fencing_token


async def _equal(awaitable: Awaitable[Any], value: object) -> bool:
    return bool(await awaitable == value)


@each_way
async def test_keep(way: Way, client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leaves_nothing(stranger, unique_key):
        term = await leadership.campaign(TTL, b"me")
        await cancelled(way, leadership.keep, lambda: renewed(client) and watching(client))
        assert leadership.state is State.LEADING
        assert term.check(), "it goes on until its deadline"
        assert not renewed(client)
        await leadership.resign()


@each_way
async def test_watch(way: Way, client: Client, leader: Leadership, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    assert leader.term is not None
    revision = leader.term.fencing_token
    await cancelled(way, lambda: leadership.watch(revision), lambda: watching(client))
    assert not client.hub.watches._watches


@each_way
async def test_observer_can_be_taken_up_again(way: Way, client: Client, leader: Leadership, unique_key: str) -> None:
    observer = observe(client, unique_key)
    told = await soon(anext(observer))
    assert told is not None
    assert told.value == b"another"
    await cancelled(way, observer.__anext__, lambda: watching(client))
    await leader.delete_leader_key()
    assert await soon(anext(observer)) is None
    await observer.aclose()


@each_way
async def test_transitions_can_be_taken_up_again(way: Way, client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    transitions = leadership.transitions()
    assert (await soon(anext(transitions))).current is State.IDLE
    await cancelled(way, transitions.__anext__, blocked)
    await leadership.campaign(TTL, b"me")
    assert [(await soon(anext(transitions))).current for _ in range(2)] == [State.CAMPAIGNING, State.LEADING]
    await leadership.resign()


async def blocked() -> bool:
    """Enough turns of the loop for a request to be sent that nobody answers, or for a wait to begin."""
    for _ in range(50):
        await asyncio.sleep(0)
    return True


# ---------------------------------------------------------------------- a body that awaits gRPC of its own


@pytest.fixture(scope="module")
def frozen_endpoint() -> Iterator[str]:
    """An etcd that accepts connections and never answers."""
    with BackgroundEtcd() as etcd:
        member = etcd._etcd.members[0]
        asyncio.run_coroutine_threadsafe(freeze(member), etcd._loop).result()
        yield etcd.endpoint
        etcd._loop.call_soon_threadsafe(member.resume)


@pytest.fixture
async def hanging(frozen_endpoint: str) -> AsyncIterator[Operation]:
    """A call of the user's own that does not return; what grpc.aio makes of its cancellation bears no mark."""
    async with Stranger(frozen_endpoint) as user:
        stub = aetcd.rpc.KVStub(user.client.channel)
        yield lambda: stub.Range(aetcd.rpc.RangeRequest(key=b"x"))


@each_way
@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_body_in_a_grpc_call_of_its_own(
    way: Way, on_loss: OnLoss, *, client: Client, stranger: Stranger, unique_key: str, hanging: Operation
) -> None:
    leadership = Leadership(client, unique_key)

    async def lead() -> None:
        async with leadership.campaign(TTL, b"me", on_loss=on_loss):
            await hanging()

    async with leaves_nothing(stranger, unique_key):
        await cancelled(way, lead, lambda: leadership.state is State.LEADING and watching(client) and blocked())
        assert leadership.state is State.IDLE


@each_way
async def test_run_while_it_serves(
    way: Way, client: Client, stranger: Stranger, unique_key: str, hanging: Operation
) -> None:
    leadership = Leadership(client, unique_key)

    async def serve(_: Term) -> None:
        await hanging()

    async with leaves_nothing(stranger, unique_key):
        await cancelled(
            way,
            lambda: leadership.run(serve, TTL, b"me"),
            lambda: leadership.state is State.LEADING and watching(client) and blocked(),
        )
        assert leadership.state is State.IDLE


# ---------------------------------------------------------------------- where nothing answers

AT_ONCE = 0.8
CLEANED_UP = 1.8
"""Seconds: clean-up is bounded to one; the rest is for a slow machine."""


@each_way
async def test_on_a_frozen_etcd(way: Way, new_etcd: EtcdFactory) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client, Stranger(etcd.endpoints[0]) as stranger:
        leaderships = {name: Leadership(client, f"/{name}") for name in ("await", "enter", "run")}
        terms = {name: Leadership(client, f"/{name}") for name in ("txn", "resign", "reset", "delete", "keep")}
        for name, leadership in terms.items():
            await leadership.campaign(TTL, name)
        granting, closing = Lease(client), Lease(client)
        await closing.grant(TTL)

        async def entered() -> None:
            async with leaderships["enter"].campaign(TTL, b"me"):
                pytest.fail("nothing answers")

        async def connected() -> None:
            async with connect(etcd.endpoints):
                pytest.fail("nothing answers")

        async def kept() -> None:
            await cancelled(way, terms["keep"].keep, blocked, within=AT_ONCE)
            assert terms["keep"].check(), "its deadline is not reached"

        def check(name: str, operation: Operation, within: float) -> Awaitable[None]:
            return asyncio.create_task(cancelled(way, operation, blocked, within=within), name=name)

        observer = observe(client, "/keep")
        txn = terms["txn"].leader_txn().then(Put("total", "42"))
        await freeze(etcd.members[0])
        try:
            await soon(
                asyncio.gather(
                    check("get_leader", lambda: get_leader(client, "/keep"), AT_ONCE),
                    check("commit", txn.commit, AT_ONCE),
                    check("connect", connected, AT_ONCE),
                    check("watch", lambda: terms["keep"].watch(0), AT_ONCE),
                    check("observe", observer.__anext__, AT_ONCE),
                    kept(),
                    check("grant", lambda: granting.grant(TTL), CLEANED_UP),
                    check("close", closing.close, CLEANED_UP),
                    check("await", lambda: leaderships["await"].campaign(TTL, b"me"), CLEANED_UP),
                    check("enter", entered, CLEANED_UP),
                    check("run", lambda: leaderships["run"].run(lambda _: asyncio.sleep(0), TTL, b"me"), CLEANED_UP),
                    check("resign", terms["resign"].resign, CLEANED_UP),
                    check("reset", terms["reset"].reset, CLEANED_UP),
                    check("delete", terms["delete"].delete_leader_key, CLEANED_UP),
                )
            )
            assert {each.state for each in leaderships.values()} == {State.IDLE}
            assert granting.is_expired()
            assert closing.is_expired()
            assert [terms[name].check() for name in ("resign", "reset", "delete")] == [False, False, False]
        finally:
            etcd.members[0].resume()
        # What could not be told to etcd expires; then there is nothing in the way of standing again.
        await eventually(lambda: stranger.no_lease_but(set()), within=TTL + 1.5)
        everyone = [*leaderships.values(), *terms.values()]
        await eventually(lambda: {each.state for each in everyone} == {State.IDLE}, within=1)
        for leadership in everyone:
            await soon(leadership.campaign(TTL, b"again"))
            await leadership.resign()
        assert await stranger.leases() == set()


@each_way
async def test_aclose_on_a_frozen_etcd(way: Way, new_etcd: EtcdFactory) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        leadership = Leadership(client, "/leader")
        await leadership.campaign(TTL, b"me")
        await freeze(etcd.members[0])
        try:
            await cancelled(way, client.aclose, blocked, within=CLEANED_UP)
            assert leadership.state is State.CLOSED
            assert not leadership.check()
            with pytest.raises(InvalidState):
                await leadership.campaign(TTL, b"me")
        finally:
            etcd.members[0].resume()


# ---------------------------------------------------------------------- a grant that others interfere with


@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "answered"])
async def test_closed_while_it_is_granted(answered: bool, client: Client, stranger: Stranger, unique_key: str) -> None:
    """However far it has come: the lease is not believed, and etcd has none."""
    for k in itertools.count():
        async with leaves_nothing(stranger, unique_key):
            lease = Lease(client)
            closing: list[asyncio.Task[None]] = []
            grant = ActsAt(lease.grant(60), k, starting(lease.close, closing), answered=answered)
            try:
                await soon(grant)
            except InvalidState:
                assert grant.reached
            await asyncio.gather(*closing)
            if not grant.reached:
                await lease.close()
                break
            assert lease.is_expired()
            await soon(lease.keep_alive())  # it was closed: nothing to wait for
    assert k > 0, "it never waits"


async def test_granted_twice_at_once(client: Client, stranger: Stranger, unique_key: str) -> None:
    """The second would make the first one's lease forgotten."""
    async with leaves_nothing(stranger, unique_key):
        lease = Lease(client)
        outcomes = await asyncio.gather(lease.grant(60), lease.grant(TTL), return_exceptions=True)
        assert outcomes[0] is None
        assert isinstance(outcomes[1], InvalidState)
        assert lease.ttl == 60
        await lease.close()


async def test_keep_alive_after_a_cancelled_grant(client: Client, proxy: Proxy, stranger: Stranger) -> None:
    """There is nothing to keep alive: it says so and does not wait."""
    async with connect(proxy.endpoint, discover=False) as far:
        lease = Lease(far)
        proxy.hold("requests")
        async with beside(lease.grant(TTL)):
            await eventually(lambda: proxy.held["requests"])
        proxy.release()
        with pytest.raises(LeaseExpired):
            await soon(lease.keep_alive())
        await lease.grant(TTL)  # and it may be granted again
        assert not lease.is_expired()
        await lease.close()


async def test_keep_cancelled_just_as_the_term_is_lost(client: Client, stranger: Stranger, unique_key: str) -> None:
    """What was lost claims nothing on a shared lease."""
    async with leaves_nothing(stranger, unique_key):
        lease, leadership = Lease(client), Leadership(client, unique_key)
        await lease.grant(60)
        term = await leadership.campaign(TTL, b"me", lease=lease)
        keeping = asyncio.create_task(leadership.keep())
        await eventually(lambda: watching(client))
        await stranger.delete(unique_key)
        await soon(term.lost.wait())
        assert keeping.cancel()
        await asyncio.wait([keeping])
        assert keeping.cancelled()
        await soon(leadership.campaign(TTL, b"me", lease=lease))
        await lease.close()


# ---------------------------------------------------------------------- a cancellation that is due already


@pytest.mark.parametrize("name", ["grant", "campaign", "get_leader", "watch", "commit", "resign", "keep"])
@pytest.mark.parametrize("means", ["task", "scope"])
async def test_due_before_the_call(name: str, means: str, client: Client, stranger: Stranger, unique_key: str) -> None:
    """The first await of the call raises it, and does not take it for anything else."""
    leadership, other = Leadership(client, unique_key), Leadership(client, unique_key + "/other")

    async def call() -> None:
        operations: dict[str, Operation] = {
            "grant": lambda: Lease(client).grant(TTL),
            "campaign": lambda: other.campaign(TTL, b"me"),
            "get_leader": lambda: get_leader(client, unique_key),
            "watch": lambda: leadership.watch(0),
            "commit": leadership.leader_txn().then(Put(unique_key + "/x", b"1")).commit,
            "resign": leadership.resign,
            "keep": leadership.keep,
        }
        task = asyncio.current_task()
        assert task is not None
        with anyio.CancelScope() as scope:
            if means == "scope":
                scope.cancel()
            else:
                task.cancel()
            await operations[name]()
            await checkpoint()
            pytest.fail("not cancelled")
        assert scope.cancelled_caught == (means == "scope")

    async with leaves_nothing(stranger, unique_key + "/other"):
        await leadership.campaign(60, b"me")
        task = asyncio.ensure_future(call())
        await soon(asyncio.wait([task]))
        assert task.cancelled() == (means == "task")
        assert means == "task" or task.result() is None
        assert await stranger.get(unique_key + "/x") is None
        await leadership.resign()


# ---------------------------------------------------------------------- at each suspension


Case = Callable[[Client, str], AbstractAsyncContextManager[Operation]]


@contextlib.asynccontextmanager
async def granting(client: Client, key: str) -> AsyncIterator[Operation]:
    lease = Lease(client)
    yield lambda: lease.grant(TTL)
    await lease.close()


@contextlib.asynccontextmanager
async def closing(client: Client, key: str) -> AsyncIterator[Operation]:
    lease = Lease(client)
    await lease.grant(60)
    yield lease.close


@contextlib.asynccontextmanager
async def campaigning(client: Client, key: str) -> AsyncIterator[Operation]:
    leadership = Leadership(client, key)
    yield lambda: leadership.campaign(60, b"me")
    assert leadership.state is (State.LEADING if leadership.check() else State.IDLE)
    await leadership.resign()


@contextlib.asynccontextmanager
async def trying_once(client: Client, key: str) -> AsyncIterator[Operation]:
    leadership = Leadership(client, key)
    yield lambda: leadership.campaign(60, b"me", wait=False)
    assert leadership.state is (State.LEADING if leadership.check() else State.IDLE)
    await leadership.resign()


@contextlib.asynccontextmanager
async def campaigning_on_a_shared_lease(client: Client, key: str) -> AsyncIterator[Operation]:
    """A key that nobody knows of goes although the lease lives on."""
    lease, leadership = Lease(client), Leadership(client, key)
    await lease.grant(60)
    yield lambda: leadership.campaign(60, b"me", lease=lease)
    assert leadership.state is (State.LEADING if leadership.check() else State.IDLE)
    await leadership.resign()
    await eventually(lambda: _equal(get_leader(client, key), None), within=1)
    assert not lease.is_expired()
    await lease.close()


@contextlib.asynccontextmanager
async def entering_and_leaving(client: Client, key: str) -> AsyncIterator[Operation]:
    leadership = Leadership(client, key)

    async def lead() -> None:
        async with leadership.campaign(60, b"me"):
            await asyncio.sleep(0)

    yield lead
    assert leadership.state is State.IDLE


@contextlib.asynccontextmanager
async def entering_and_raising(client: Client, key: str) -> AsyncIterator[Operation]:
    leadership = Leadership(client, key)

    async def lead() -> None:
        with contextlib.suppress(ZeroDivisionError):
            async with leadership.campaign(60, b"me"):
                raise ZeroDivisionError

    yield lead
    assert leadership.state is State.IDLE


@contextlib.asynccontextmanager
async def waiting_and_winning(client: Client, key: str) -> AsyncIterator[Operation]:
    """From behind another, who leaves."""
    leadership, other = Leadership(client, key), Leadership(client, key)

    async def leave() -> None:
        await eventually(lambda: following(leadership))
        await other.resign()

    await other.campaign(60, b"another")
    async with beside(leave()):
        yield lambda: leadership.campaign(60, b"me")
    await leadership.resign()
    await other.resign()
    assert leadership.state is State.IDLE


@contextlib.asynccontextmanager
async def running(client: Client, key: str) -> AsyncIterator[Operation]:
    leadership = Leadership(client, key)

    async def serve(_: Term) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        with contextlib.suppress(ZeroDivisionError):
            await leadership.run(serve, 60, b"me")

    yield run
    assert leadership.state is State.IDLE


@contextlib.asynccontextmanager
async def keeping(client: Client, key: str) -> AsyncIterator[Operation]:
    """Until it is resigned in another task."""
    leadership = Leadership(client, key)

    async def leave() -> None:
        await eventually(lambda: renewed(client) and watching(client))
        await leadership.resign()

    await leadership.campaign(60, b"me")
    async with beside(leave()):
        yield leadership.keep
    await leadership.resign()
    assert leadership.state is State.IDLE


def _giving_up(means: Callable[[Leadership], Operation], *, kept: bool) -> Case:
    @contextlib.asynccontextmanager
    async def case(client: Client, key: str) -> AsyncIterator[Operation]:
        leadership = Leadership(client, key)
        await leadership.campaign(60, b"me")
        async with beside(leadership.keep()) if kept else contextlib.nullcontext():
            yield means(leadership)
            assert not leadership.check()
            await eventually(lambda: leadership.state is State.IDLE, within=1)

    return case


resigning = _giving_up(lambda leadership: leadership.resign, kept=False)
resigning_while_kept = _giving_up(lambda leadership: leadership.resign, kept=True)
resetting_while_kept = _giving_up(lambda leadership: leadership.reset, kept=True)
deleting_while_kept = _giving_up(lambda leadership: leadership.delete_leader_key, kept=True)


@contextlib.asynccontextmanager
async def closing_the_client(client: Client, key: str) -> AsyncIterator[Operation]:
    async with connect(client.endpoints) as another:
        leadership = Leadership(another, key)
        await leadership.campaign(60, b"me")
        async with beside(leadership.keep()):
            yield another.aclose
            assert not leadership.check()


@contextlib.asynccontextmanager
async def connecting(client: Client, key: str) -> AsyncIterator[Operation]:
    async def connected() -> None:
        async with connect(client.endpoints) as another:
            await get_leader(another, key)

    yield connected


CASES = {
    "grant": granting,
    "close": closing,
    "campaign": campaigning,
    "campaign once": trying_once,
    "campaign on a shared lease": campaigning_on_a_shared_lease,
    "async with": entering_and_leaving,
    "async with, and a body that raises": entering_and_raising,
    "campaign behind another": waiting_and_winning,
    "run": running,
    "keep": keeping,
    "resign": resigning,
    "resign while kept": resigning_while_kept,
    "reset while kept": resetting_while_kept,
    "delete_leader_key while kept": deleting_while_kept,
    "aclose": closing_the_client,
    "connect": connecting,
}


@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "answered"])
@pytest.mark.parametrize("means", ["task", "scope"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_at_each_suspension(
    case: Case, means: str, *, answered: bool, client: Client, stranger: Stranger, unique_key: str
) -> None:
    for k in itertools.count():
        async with leaves_nothing(stranger, unique_key), case(client, unique_key) as operation:
            if not await soon(_cancelled_at(k, operation, means, answered=answered)):
                break
        assert k < 100
    assert k > 0, "it never waits"


async def _cancelled_at(k: int, operation: Operation, means: str, *, answered: bool) -> bool:
    """Whether it came so far."""

    async def scoped() -> bool:
        with scope:
            awaited = ActsAt(
                operation(), k, scope.cancel if means == "scope" else _own_task().cancel, answered=answered
            )
            try:
                await awaited
            finally:
                reached.append(awaited.reached)
        return True

    reached: list[bool] = []
    scope = anyio.CancelScope()
    task = asyncio.ensure_future(scoped())
    await asyncio.wait([task])
    assert task.cancelled() == (reached == [True] and means == "task"), (
        "a cancellation was swallowed, or came from nowhere"
    )
    assert task.cancelled() or task.result()
    return reached[0]


def _own_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
