"""`Leadership.transitions` on a real etcd: the present state first, then all that happens, in order."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref

import pytest

from aioelection import (
    CampaignConflict,
    Client,
    Leadership,
    LeadershipLost,
    Lease,
    LossReason,
    State,
    Transition,
    Transitions,
)
from tests.support import Proxy, Stranger, beside, eventually, is_in, soon

IDLE, CAMPAIGNING, FOLLOWING, LEADING = State.IDLE, State.CAMPAIGNING, State.FOLLOWING, State.LEADING
SUSPENDED, RESIGNING, CLOSED = State.SUSPENDED, State.RESIGNING, State.CLOSED


async def rest(transitions: Transitions) -> list[Transition]:
    """All that is told until the client is closed."""
    return await soon(_rest(transitions))  # type: ignore[no-any-return]


async def _rest(transitions: Transitions) -> list[Transition]:
    return [each async for each in transitions]


async def test_the_present_state_comes_first(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    assert await anext(leadership.transitions()) == Transition(IDLE, IDLE)
    term = await leadership.campaign(60, b"a")
    assert await anext(leadership.transitions()) == Transition(LEADING, LEADING, None, term)
    await leadership.resign()
    assert await anext(leadership.transitions()) == Transition(IDLE, IDLE)


async def test_then_every_transition_in_order_across_all_terms(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    transitions = leadership.transitions()
    first = await leadership.campaign(60, b"a")
    await leadership.resign()
    second = await leadership.campaign(60, b"a")
    async with beside(leadership.keep()) as keeping:
        await stranger.put(unique_key, b"b")
        with pytest.raises(LeadershipLost):
            await soon(keeping)
    async with beside(leadership.campaign(60, b"a")) as waiting:
        await eventually(lambda: is_in(leadership, FOLLOWING))
        await stranger.delete(unique_key)
        third = await soon(waiting)
    await client.aclose()
    resigned, overwritten, closed = LossReason.RESIGNED, LossReason.OVERWRITTEN, LossReason.CLOSED
    assert await rest(transitions) == [
        Transition(IDLE, IDLE),
        Transition(IDLE, CAMPAIGNING),
        Transition(CAMPAIGNING, LEADING, None, first),
        Transition(LEADING, RESIGNING, resigned, first),
        Transition(RESIGNING, IDLE, resigned, first),
        Transition(IDLE, CAMPAIGNING),
        Transition(CAMPAIGNING, LEADING, None, second),
        Transition(LEADING, IDLE, overwritten, second),
        Transition(IDLE, CAMPAIGNING),
        Transition(CAMPAIGNING, FOLLOWING),
        Transition(FOLLOWING, CAMPAIGNING),
        Transition(CAMPAIGNING, LEADING, None, third),
        Transition(LEADING, CLOSED, closed, third),
    ]


async def test_suspended_and_leading_again(proxy: Proxy, far_client: Client, unique_key: str) -> None:
    leadership = Leadership(far_client, unique_key)
    async with leadership.campaign(6, b"a") as term:
        transitions = leadership.transitions()
        assert await anext(transitions) == Transition(LEADING, LEADING, None, term)
        proxy.hold("requests")
        assert await soon(anext(transitions)) == Transition(LEADING, SUSPENDED, None, term)
        assert term.check()
        proxy.cut()
        assert await soon(anext(transitions)) == Transition(SUSPENDED, LEADING, None, term)


async def test_a_failed_attempt_and_a_cancelled_one(client: Client, stranger: Stranger, unique_key: str) -> None:
    await stranger.put(unique_key, b"b")
    leadership = Leadership(client, unique_key)
    transitions = leadership.transitions()
    with pytest.raises(CampaignConflict):
        await leadership.campaign(60, b"a", wait=False)
    async with beside(leadership.campaign(60, b"a")):
        await eventually(lambda: is_in(leadership, FOLLOWING))
    await client.aclose()
    assert await rest(transitions) == [
        Transition(IDLE, IDLE),
        Transition(IDLE, CAMPAIGNING),
        Transition(CAMPAIGNING, IDLE),
        Transition(IDLE, CAMPAIGNING),
        Transition(CAMPAIGNING, FOLLOWING),
        Transition(FOLLOWING, IDLE),
        Transition(IDLE, CLOSED),
    ]
    await stranger.delete(unique_key)


async def test_it_is_told_in_the_same_step_as_the_loss(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(60, b"a", on_loss="event") as term:
        transitions = leadership.transitions()
        await anext(transitions)
        await stranger.delete(unique_key)
        told = await soon(anext(transitions))
        assert told == Transition(LEADING, IDLE, LossReason.DELETED, term)
        assert term.lost.is_set()
        assert not term.check()


async def test_it_ends_when_the_client_closes(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    transitions = leadership.transitions()
    await anext(transitions)
    async with beside(anext(transitions)) as waiting:
        await asyncio.sleep(0)
        await client.aclose()
        assert await soon(waiting) == Transition(IDLE, CLOSED)
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await soon(anext(transitions))
    assert await rest(leadership.transitions()) == [Transition(CLOSED, CLOSED)], "also one that comes late"


async def test_several_are_told_all_and_a_cancelled_wait_loses_nothing(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    one, another = leadership.transitions(), leadership.transitions()
    assert aiter(one) is one
    await anext(one)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(one)
    await leadership.campaign(60, b"a")
    await client.aclose()
    assert [each.current for each in await rest(one)] == [CAMPAIGNING, LEADING, CLOSED]
    assert [each.current for each in await rest(another)] == [IDLE, CAMPAIGNING, LEADING, CLOSED]


async def test_who_is_slow_is_told_how_much_was_missed(client: Client, stranger: Stranger, unique_key: str) -> None:
    await stranger.put(unique_key, b"b")
    leadership, lease = Leadership(client, unique_key), Lease(client)
    await lease.grant(60)
    slow, quick = leadership.transitions(), leadership.transitions()
    told = 1
    await anext(quick)
    for _ in range(1200):
        with pytest.raises(CampaignConflict):
            await leadership.campaign(60, b"a", wait=False, lease=lease)
        for _ in range(2):
            assert (await anext(quick)).missed == 0
            told += 1
    await client.aclose()
    assert (await anext(quick)).current is CLOSED
    told += 1
    seen = await rest(slow)
    assert len(seen) <= 1000
    assert seen[0].missed >= 1000
    assert all(each.missed == 0 for each in seen[1:])
    assert len(seen) + seen[0].missed == told, "nothing is lost without being counted"
    assert seen[-1].current is CLOSED
    assert all(one.current is two.previous for one, two in itertools.pairwise(seen))
    await stranger.delete(unique_key)


async def test_it_is_held_weakly(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    transitions = weakref.ref(leadership.transitions())
    gc.collect()
    assert transitions() is None
    await leadership.campaign(60, b"a")
    await leadership.resign()
