"""`Leadership.run` on a real etcd: leading whenever possible."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import pytest

from aioelection import Client, InvalidConfiguration, InvalidState, Leadership, LossReason, State, Term, connect
from tests.etcd import EtcdFactory
from tests.support import TTL, Stranger, beside, eventually, is_in, soon, throughout


class Service:
    """Serves until it is cancelled, and remembers its terms."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.serving = 0

    async def serve(self, term: Term) -> None:
        assert term.check()
        self.terms.append(term)
        self.serving += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.serving -= 1


async def test_it_serves_and_keeps_until_cancelled(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership, service = Leadership(client, unique_key), Service()
    async with beside(leadership.run(service.serve, TTL, b"data")) as running:
        await eventually(lambda: service.serving)
        await throughout(TTL + 0.5, lambda: service.serving == 1 and leadership.check())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(running)
    (term,) = service.terms
    assert term.loss_reason is LossReason.RESIGNED
    assert service.serving == 0
    assert await stranger.get(unique_key) is None


async def test_when_serve_returns_it_resigns_and_stands_again(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    transitions = leadership.transitions()
    terms: list[Term] = []

    async def serve(term: Term) -> str:
        terms.append(term)
        return "done"

    async with beside(leadership.run(serve, 60, b"data")):
        await eventually(lambda: len(terms) == 3)
    tokens = [term.fencing_token for term in terms]
    assert tokens == sorted(set(tokens))
    assert all(term.loss_reason is LossReason.RESIGNED for term in terms)
    assert await stranger.get(unique_key) is None
    await client.aclose()
    assert sum([each.current is State.RESIGNING async for each in transitions]) == 3


async def test_when_serve_raises_it_resigns_and_the_exception_leaves_unchanged(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    error = LookupError("a reason")

    async def serve(term: Term) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        await soon(leadership.run(serve, 60, b"data"))
    assert caught.value is error
    assert await stranger.get(unique_key) is None
    assert is_in(leadership, State.IDLE)


async def test_lost_it_cancels_serve_and_stands_again(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership, service = Leadership(client, unique_key), Service()
    async with beside(leadership.run(service.serve, 60, b"data")):
        for _ in range(3):
            await eventually(lambda: service.serving and service.terms[-1].check())
            await stranger.delete(unique_key)
            await soon(service.terms[-1].lost.wait(), 1)
        await eventually(lambda: len(service.terms) == 4)
    assert all(term.loss_reason is LossReason.DELETED for term in service.terms[:3])
    assert not any(term.check() for term in service.terms)


async def test_serve_has_ended_before_the_key_is_given_up(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    seen: list[Any] = []

    async def serve(term: Term) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0.3)
                seen.append(await stranger.get(unique_key))

    async with beside(leadership.run(serve, TTL, b"data")) as running:
        await eventually(leadership.check)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await soon(running)
    (key,) = seen
    assert key is not None and key.value == b"data"
    assert await stranger.get(unique_key) is None


async def test_two_take_turns(client: Client, other_client: Client, unique_key: str) -> None:
    serving: list[str] = []
    served: list[str] = []

    def serve(name: str) -> Any:
        async def work(term: Term) -> None:
            assert not serving, "one at a time"
            serving.append(name)
            served.append(name)
            await asyncio.sleep(0.02)
            serving.remove(name)

        return work

    one, two = Leadership(client, unique_key), Leadership(other_client, unique_key)
    async with beside(one.run(serve("one"), 60, b"one")) as first, beside(two.run(serve("two"), 60, b"two")) as second:
        await eventually(lambda: served.count("one") >= 3 and served.count("two") >= 3)
        assert not first.done() and not second.done()


async def test_closing_the_client_ends_it(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership, service = Leadership(client, unique_key), Service()
    async with beside(leadership.run(service.serve, 60, b"data")) as running:
        await eventually(lambda: service.serving)
        await client.aclose()
        with pytest.raises(InvalidState, match="closed"):
            await soon(running)
    assert service.terms[0].loss_reason is LossReason.CLOSED
    assert await stranger.get(unique_key) is None


async def test_it_survives_an_outage(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        (member,) = etcd.members
        leadership, service = Leadership(client, unique_key), Service()
        async with beside(leadership.run(service.serve, TTL, b"data")) as running:
            await eventually(lambda: service.serving)
            await member.kill()
            await soon(service.terms[0].lost.wait(), TTL + 0.5)
            await eventually(lambda: service.serving == 0)
            await member.start()
            await eventually(lambda: len(service.terms) == 2 and service.serving == 1)
            assert not running.done()
        assert service.terms[0].loss_reason is LossReason.EXPIRED


async def test_its_arguments_are_checked_before_anything_is_sent(client: Client, unique_key: str) -> None:
    leadership, service = Leadership(client, unique_key), Service()
    with pytest.raises(InvalidConfiguration, match="lease_timeout"):
        await leadership.run(service.serve, 0, b"data")
    with pytest.raises(InvalidConfiguration, match="leader_data"):
        await leadership.run(service.serve, 60, 5)
    with pytest.raises(InvalidConfiguration, match="limit must be None or a whole number from 1 on, not 0"):
        await leadership.run(service.serve, 60, b"data", limit=0)
    not_callable: Any = None
    with pytest.raises(InvalidConfiguration, match="serve must be callable, not None"):
        await leadership.run(not_callable, 60, b"data")

    def plain(term: Term) -> None:
        pytest.fail("called")

    not_async: Any = plain
    with pytest.raises(
        InvalidConfiguration, match=r"serve must be an async function \(async def\), not <function .*plain"
    ):
        await leadership.run(not_async, 60, b"data")
    assert is_in(leadership, State.IDLE)


async def test_what_gives_no_awaitable_is_named(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    not_async: Any = lambda term: 7  # noqa: E731
    with pytest.raises(InvalidConfiguration, match=r"serve must be an async function, but <function .* returned 7"):
        await soon(leadership.run(not_async, 60, b"data"))
    assert await stranger.get(unique_key) is None
