"""Bodies that block, that raise and that do not end, and terms that cannot be resigned: rows 5, 33, 37 and 38."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from aioelection import Client, Leadership, LeadershipLost, LossReason, Term, Unavailable
from tests.faults.measuring import Measure
from tests.support import TTL, Proxy, Stranger, beside, eventually, soon

OVERRUN = TTL + 1.5
"""Seconds: past the expiry of the lease, had nobody renewed it."""


async def test_row_33_resigning_again(
    far_client: Client, proxy: Proxy, stranger: Stranger, unique_key: str, measure: Measure
) -> None:
    leadership = Leadership(far_client, unique_key)
    term = await leadership.campaign(60, b"a")
    proxy.hold("requests")
    with measure.within(1.3, "refused"), pytest.raises(Unavailable):
        await leadership.resign()
    assert not term.check() and not leadership.check()
    assert await stranger.get(unique_key) is not None
    proxy.cut()
    await eventually(lambda: _resigned(leadership))
    assert await stranger.get(unique_key) is None


async def _resigned(leadership: Leadership) -> bool:
    with contextlib.suppress(Unavailable):
        await leadership.resign()
        return True
    return False


async def test_row_33_not_resigned_and_expired(
    far_client: Client, proxy: Proxy, client: Client, unique_key: str, measure: Measure
) -> None:
    leadership = Leadership(far_client, unique_key)
    await leadership.campaign(TTL, b"a")
    begin = time.monotonic()
    proxy.hold("requests")
    with pytest.raises(Unavailable):
        await leadership.resign()
    successor = Leadership(client, unique_key)
    await soon(successor.campaign(TTL, b"b"))
    measure.took("successor", time.monotonic() - begin, TTL + 1, since=begin)
    await successor.resign()


async def swallow(seconds: float) -> None:
    """As ``except CancelledError: pass`` in a loop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


async def shielded(seconds: float) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.sleep(seconds)


Body = Callable[[float], Awaitable[None]]
bodies = pytest.mark.parametrize("body", [swallow, shielded])


@bodies
async def test_row_37_resigned_while_the_body_overruns(
    client: Client, other_client: Client, unique_key: str, body: Body
) -> None:
    """The lease is renewed until the body has ended, and only then the key is released."""
    leadership, successor = Leadership(client, unique_key), Leadership(other_client, unique_key)
    led = asyncio.Event()

    async def lead() -> None:
        async with leadership.campaign(TTL, b"a"):
            led.set()
            await body(OVERRUN)

    async def stand() -> tuple[Term, float]:
        return await successor.campaign(TTL, b"b"), time.monotonic()

    async with beside(lead()) as leading:
        await soon(led.wait())
        async with beside(stand()) as standing:
            begin = time.monotonic()
            await soon(leadership.resign(), 10)
            assert time.monotonic() - begin > OVERRUN - 0.2
            with pytest.raises(LeadershipLost) as caught:
                await soon(leading)
            assert caught.value.reason is LossReason.RESIGNED
            _, elected_at = await soon(standing)
            assert elected_at - begin > OVERRUN - 0.2
            await successor.resign()


@bodies
async def test_row_37_lost_while_the_body_overruns(
    far_client: Client, proxy: Proxy, client: Client, unique_key: str, body: Body
) -> None:
    """A successor comes only after the lease has expired, whatever the body does; and the loss is told at its end."""
    leadership, successor = Leadership(far_client, unique_key), Leadership(client, unique_key)
    terms: list[Term] = []

    async def lead() -> None:
        async with leadership.campaign(TTL, b"a") as term:
            terms.append(term)
            await body(2 * OVERRUN)

    async with beside(lead()) as leading:
        await eventually(lambda: terms)
        async with beside(successor.campaign(TTL, b"b")) as standing:
            proxy.hold("requests")
            await soon(terms[0].lost.wait())
            assert terms[0].loss_reason is LossReason.EXPIRED and not standing.done()
            await soon(standing)
            assert not leading.done() and not terms[0].check()
            with pytest.raises(LeadershipLost):
                await soon(leading, 15)
            await successor.resign()


class Halt(BaseException):
    """Derived from no Exception."""


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), Halt("stop"), ExceptionGroup("many", [ValueError("one"), KeyError("two")])],
    ids=["Exception", "BaseException", "ExceptionGroup"],
)
async def test_row_38_a_body_that_raises(
    client: Client, stranger: Stranger, unique_key: str, measure: Measure, error: BaseException
) -> None:
    leadership = Leadership(client, unique_key)
    with pytest.raises(type(error)) as caught, measure.within(0.5, "raised and resigned"):
        async with leadership.campaign(60, b"a"):
            raise error
    assert caught.value is error
    assert not leadership.check()
    assert await stranger.get(unique_key) is None


async def test_row_38_a_task_group_of_the_body_that_raises(
    client: Client, stranger: Stranger, unique_key: str, measure: Measure
) -> None:
    error = ValueError("broken")

    async def broken() -> None:
        raise error

    leadership = Leadership(client, unique_key)
    with pytest.raises(ExceptionGroup) as caught, measure.within(0.5, "raised and resigned"):
        async with leadership.campaign(60, b"a"), asyncio.TaskGroup() as group:
            group.create_task(broken())
    assert caught.value.exceptions == (error,)  # the group of the body, and no other around it
    assert await stranger.get(unique_key) is None


async def test_row_5_the_loop_blocked(
    client: Client, unique_key: str, measure: Measure, caplog: pytest.LogCaptureFixture
) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(TTL, b"a", on_loss="event") as term:
        time.sleep(TTL + 0.5)  # noqa: ASYNC251 (the fault)
        assert not term.check() and not leadership.check()
        with measure.within(0.5, "loss told"):
            await soon(term.lost.wait())
    assert term.loss_reason is LossReason.STALLED
    assert TTL + 0.4 < client.statistics().longest_stall < TTL + 2
    assert f"the event loop stood still for {client.statistics().longest_stall:.2f} s" in caplog.text
