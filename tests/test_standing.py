"""Very many candidates that stand at once: their transactions go a few at a time, so that each is answered in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioelection import Client, Leadership, Lease
from aioelection._shell.hub import MOST_STANDING
from tests.support import eventually, soon

CROWD = 3 * MOST_STANDING


async def test_their_transactions_go_a_few_at_a_time(
    client: Client, unique_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = 0
    most = 0
    txn = client.hub.pool.txn

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await txn(*args, **kwargs)
        finally:
            under_way -= 1

    monkeypatch.setattr(client.hub.pool, "txn", counted)
    lease = Lease(client)
    await lease.grant(60)
    campaigns = [Leadership(client, f"{unique_key}/{n}").campaign(60, b"me", lease=lease) for n in range(CROWD)]
    terms = await soon(asyncio.gather(*campaigns), within=30)
    assert all(term.check() for term in terms)
    assert most == MOST_STANDING
    await lease.close()


async def test_one_that_is_cancelled_before_its_turn_makes_way(client: Client, unique_key: str) -> None:
    lease = Lease(client)
    await lease.grant(60)
    for _ in range(MOST_STANDING):
        await client.hub.standing.acquire()
    waiting = [
        asyncio.ensure_future(Leadership(client, f"{unique_key}/{n}").campaign(60, b"me", lease=lease))
        for n in range(2)
    ]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    client.hub.standing.release()
    assert (await soon(waiting[1])).check()
    await eventually(lambda: not client.hub.standing.locked())
    await lease.close()
