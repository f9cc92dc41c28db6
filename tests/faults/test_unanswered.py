"""A campaign's transaction that is applied and not answered: row 31, on a shared lease."""

from __future__ import annotations

import pytest

from aioelection import Client, ElectionError, Leadership, Lease
from tests.support import Proxy, Stranger, beside, eventually, soon


@pytest.mark.parametrize("wait", [True, False])
async def test_row_31_a_campaign_unanswered(
    far_client: Client, proxy: Proxy, stranger: Stranger, unique_key: str, wait: bool
) -> None:
    """It is resolved by reading: won, or nothing is left behind."""
    lease, leadership = Lease(far_client), Leadership(far_client, unique_key)
    await lease.grant(60)
    proxy.hold("replies")
    async with beside(leadership.campaign(2, b"a", wait=wait, lease=lease)) as campaign:
        await eventually(lambda: stranger.get(unique_key))
        proxy.cut()
        try:
            term = await soon(campaign)
        except ElectionError:
            assert not wait
            await eventually(lambda: _is_gone(stranger, unique_key))
        else:
            assert term.check()
            assert term.fencing_token == (await stranger.get(unique_key)).create_revision
            await leadership.resign()
    await lease.close()
    assert await stranger.get(unique_key) is None


async def _is_gone(stranger: Stranger, key: str) -> bool:
    return await stranger.get(key) is None
