"""A leader is asked to resign: by a key beside its own, for one term, and it may heed that or not."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import (
    Client,
    InvalidConfiguration,
    InvalidState,
    Leadership,
    LossReason,
    State,
    Term,
    get_leader,
    request_resign,
)
from tests.support import TTL, Stranger, beside, eventually, is_in, soon, throughout

REQUEST = "/resign"


class Service:
    def __init__(self) -> None:
        self.terms: list[Term] = []

    async def serve(self, term: Term) -> None:
        self.terms.append(term)
        await asyncio.Event().wait()


async def test_asked_it_resigns_and_another_leads(client: Client, other_client: Client, unique_key: str) -> None:
    first, second = Service(), Service()
    one, other = Leadership(client, unique_key), Leadership(other_client, unique_key)
    async with beside(one.run(first.serve, 60, b"one", heed_resign=True)):
        await eventually(lambda: first.terms)
        async with beside(other.run(second.serve, 60, b"other", heed_resign=True)):
            await eventually(lambda: is_in(other, State.FOLLOWING))
            asked = await request_resign(other_client, unique_key)
            assert asked is not None and (asked.value, asked.create_revision) == (b"one", first.terms[0].fencing_token)
            await eventually(lambda: second.terms)
            assert first.terms[0].loss_reason is LossReason.RESIGNED
            await eventually(lambda: is_in(one, State.FOLLOWING))
            assert await request_resign(client, unique_key) is not None
            await eventually(lambda: len(first.terms) == 2)


async def test_the_request_is_on_the_leaders_lease_and_the_leader_key_is_as_it_was(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(TTL, b"data") as term:
        before = await get_leader(client, unique_key)
        assert before is not None and await request_resign(client, unique_key) == before
        request = await stranger.get(unique_key + REQUEST)
        assert (request.value, request.lease) == (str(term.fencing_token).encode(), before.lease_id)
        assert await get_leader(client, unique_key) == before
        await throughout(0.3, term.check)  # a campaign heeds nothing by itself
    assert await stranger.get(unique_key + REQUEST) is None


async def test_without_heed_resign_it_goes_on(client: Client, unique_key: str) -> None:
    leadership, service = Leadership(client, unique_key), Service()
    async with beside(leadership.run(service.serve, 60, b"data")):
        await eventually(lambda: service.terms)
        await request_resign(client, unique_key)
        await throughout(0.3, leadership.check)


@pytest.mark.parametrize("other", [b"1", b"", b"not a token"])
async def test_a_request_for_another_term_is_ignored(
    client: Client, stranger: Stranger, unique_key: str, other: bytes
) -> None:
    leadership, service = Leadership(client, unique_key), Service()
    await stranger.put(unique_key + REQUEST, other)
    async with beside(leadership.run(service.serve, 60, b"data", heed_resign=True)):
        await eventually(lambda: service.terms)
        await stranger.put(unique_key + REQUEST, other)
        await throughout(0.3, leadership.check)
        await request_resign(client, unique_key)  # and the next one is heeded all the same
        await soon(service.terms[0].lost.wait())


async def test_a_request_that_was_there_before_the_leader_looked_is_heeded(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership, service = Leadership(client, unique_key), Service()

    async def ask_at_once() -> None:
        key = await eventually(lambda: stranger.get(unique_key))
        await stranger.put(unique_key + REQUEST, str(key.create_revision).encode())

    async with beside(ask_at_once()), beside(leadership.run(service.serve, 60, b"data", heed_resign=True)):
        await eventually(lambda: service.terms)
        await soon(service.terms[0].lost.wait())


async def test_nobody_is_asked_where_nobody_leads_or_that_term_has_ended(client: Client, unique_key: str) -> None:
    assert await request_resign(client, unique_key) is None
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(60, b"data") as term:
        assert await request_resign(client, unique_key, fencing_token=term.fencing_token - 1) is None
        assert await get_leader(client, unique_key + REQUEST) is None
        assert await request_resign(client, unique_key, fencing_token=term.fencing_token) is not None


async def test_what_cannot_be_asked_is_refused(client: Client, stranger: Stranger, unique_key: str) -> None:
    await stranger.put(unique_key, b"by hand")
    with pytest.raises(InvalidState, match="without a lease"):
        await request_resign(client, unique_key)
    with pytest.raises(InvalidConfiguration, match="'12'"):
        await request_resign(client, unique_key, fencing_token="12")  # type: ignore[arg-type]
    with pytest.raises(InvalidConfiguration, match="heed_resign must be True or False, not 'yes'"):
        await Leadership(client, unique_key).run(Service().serve, 60, b"data", heed_resign="yes")  # type: ignore[arg-type]
    await stranger.delete(unique_key)


async def test_no_watch_for_requests_outlives_its_term(client: Client, unique_key: str) -> None:
    leadership, terms = Leadership(client, unique_key), list[Term]()

    async def serve(term: Term) -> None:
        terms.append(term)

    before = client.statistics().listeners
    async with beside(leadership.run(serve, 60, b"data", heed_resign=True)):
        await eventually(lambda: len(terms) == 4)
    await eventually(lambda: client.statistics().listeners == before)


async def test_what_serve_raises_leaves_unchanged(client: Client, unique_key: str) -> None:
    async def serve(term: Term) -> None:
        raise LookupError("a reason")

    with pytest.raises(LookupError, match="a reason"):
        await soon(Leadership(client, unique_key).run(serve, 60, b"data", heed_resign=True))
