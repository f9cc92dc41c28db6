"""Many candidates of one process on one key: row 39."""

from __future__ import annotations

import asyncio
import time

from aioelection import Client, Leadership
from tests.faults.measuring import Measure
from tests.support import beside, soon

CROWD = 1000
"""Candidates on one key."""


async def test_row_39_two_leaderships_of_one_process(client: Client, unique_key: str, measure: Measure) -> None:
    first, second = Leadership(client, unique_key), Leadership(client, unique_key)
    term = await first.campaign(60, b"first")
    async with beside(second.campaign(60, b"second")) as campaign:
        await asyncio.sleep(0.5)
        assert first.check() and not second.check() and not campaign.done()
        begin = time.monotonic()
        await first.resign()
        successor = await soon(campaign)
        measure.took("handed over", time.monotonic() - begin, 0.5, since=begin)
        assert not term.check() and not first.check() and second.check()
        assert successor.fencing_token > term.fencing_token
        await second.resign()


async def test_row_39_a_crowd_in_one_process(client: Client, unique_key: str) -> None:
    leaderships = [Leadership(client, unique_key) for _ in range(CROWD)]
    tokens: list[int] = []

    async def lead(leadership: Leadership) -> None:
        async with leadership.campaign(60, b"one of many") as term:
            assert [each for each in leaderships if each.check()] == [leadership]
            assert client.statistics().watches <= 1
            tokens.append(term.fencing_token)

    await soon(asyncio.gather(*map(lead, leaderships)), 50)
    assert len(tokens) == CROWD
    assert tokens == sorted(set(tokens))
