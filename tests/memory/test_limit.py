"""`run(limit=...)`: one that wins and fails again and again lets others lead."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, InvalidState, Leadership, Term
from tests.memory.helpers import time, until

KEY = "/limit/leader"


class Failing:
    """Serves for a moment only."""

    def __init__(self) -> None:
        self.began: list[float] = []

    async def serve(self, term: Term) -> None:
        self.began.append(time())
        await asyncio.sleep(0.1)


async def test_it_stands_back_until_another_leads(
    client: Client, other_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    failing, other = Failing(), Leadership(other_client, KEY)
    running = asyncio.ensure_future(Leadership(client, KEY).run(failing.serve, 60, b"failing", limit=3))
    await until(lambda: len(failing.began) == 4)
    await asyncio.sleep(60)
    assert len(failing.began) == 4
    assert "was won 4 times in 300 s, more than 3: standing back" in caplog.text
    async with other.campaign(60, b"well"):
        await asyncio.sleep(10)
        assert len(failing.began) == 4
    await until(lambda: len(failing.began) == 8)  # it stands behind the other, and counts anew
    running.cancel()
    await asyncio.wait([running])


async def test_with_no_other_it_stands_again_after_five_minutes(client: Client) -> None:
    failing = Failing()
    running = asyncio.ensure_future(Leadership(client, KEY).run(failing.serve, 60, b"failing", limit=3))
    await asyncio.sleep(1000)
    running.cancel()
    await asyncio.wait([running])
    assert 4 * 3 < len(failing.began) <= 4 * 4
    assert 300 <= failing.began[4] - failing.began[3] <= 302


async def test_without_a_limit_it_goes_on(client: Client) -> None:
    failing = Failing()
    running = asyncio.ensure_future(Leadership(client, KEY).run(failing.serve, 60, b"failing"))
    await until(lambda: len(failing.began) == 20, 60)
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("end", ["cancelled", "client closed"])
async def test_standing_back_ends_at_once(client: Client, end: str) -> None:
    failing = Failing()
    running = asyncio.ensure_future(Leadership(client, KEY).run(failing.serve, 60, b"failing", limit=1))
    await until(lambda: len(failing.began) == 2)
    await asyncio.sleep(1)
    if end == "cancelled":
        running.cancel()
    else:
        await client.aclose()
    with pytest.raises(asyncio.CancelledError if end == "cancelled" else InvalidState):
        await asyncio.wait_for(running, 1)
