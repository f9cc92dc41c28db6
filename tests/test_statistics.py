"""`Client.statistics()`: what a client has been doing, and how its endpoints fare."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from aioelection import Client, EndpointStatistics, Leadership
from tests.support import TTL

NOBODY = "http://127.0.0.1:1"


def of(client: Client, endpoint: str) -> EndpointStatistics:
    """How that endpoint fares."""
    found = [each for each in client.statistics().endpoints if each.endpoint == endpoint]
    assert len(found) == 1
    return found[0]


async def test_a_client_that_has_done_nothing(client: Client, endpoint: str) -> None:
    statistics = client.statistics()
    assert [each.endpoint for each in statistics.endpoints] == [endpoint]
    assert statistics.endpoints[0].in_use
    assert statistics.endpoints[0].failures == 0
    figures = {each.name: getattr(statistics, each.name) for each in fields(statistics) if each.name != "endpoints"}
    assert set(figures.values()) == {0}, figures


async def test_they_are_of_their_moment_and_cannot_be_changed(client: Client, unique_key: str) -> None:
    before = client.statistics()
    await Leadership(client, unique_key).campaign(60, wait=False)
    assert before.watches == 0
    assert client.statistics() != before
    for each in (before, before.endpoints[0]):
        assert is_dataclass(each)
        with pytest.raises(FrozenInstanceError):
            setattr(each, fields(each)[0].name, None)


async def test_the_member_that_answered_is_known(client: Client, endpoint: str, ctl: object) -> None:
    await client.hub.pool.get(b"any", timeout=5)
    member_id = of(client, endpoint).member_id
    assert member_id
    assert member_id == (await client.hub.pool.members(timeout=5)).header.member_id


async def test_a_leadership_that_is_kept(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.term(TTL) if hasattr(leadership, "term") else asyncio.timeout(5):
        pass
