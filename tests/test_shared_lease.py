"""Many leaderships on one lease: each is won, kept and resigned alone, and all are lost together."""

from __future__ import annotations

import asyncio
import contextlib

from aioelection import Client, Leadership, LeadershipLost, Lease, LossReason, Term
from tests.support import Stranger, beside, eventually, soon

CROWD = 1000


async def test_a_thousand_on_one_lease(client: Client, stranger: Stranger, unique_key: str) -> None:
    lease = Lease(client)
    await lease.grant(60)
    terms: dict[int, Term] = {}
    reasons: dict[int, LossReason] = {}
    resigning = asyncio.Event()

    async def lead(number: int) -> None:
        with contextlib.suppress(LeadershipLost):
            async with Leadership(client, f"{unique_key}/{number}").campaign(60, b"me", lease=lease) as term:
                terms[number] = term
                await (resigning.wait() if number % 2 else asyncio.Event().wait())
        assert term.loss_reason is not None
        reasons[number] = term.loss_reason

    async with beside(asyncio.wait([asyncio.ensure_future(lead(number)) for number in range(CROWD)])) as leading:
        await eventually(lambda: len(terms) == CROWD, within=30)
        await eventually(lambda: client.statistics().watches == CROWD, within=30)
        assert len({term.fencing_token for term in terms.values()}) == CROWD
        assert client.statistics().leases == 1, "one lease is renewed"
        resigning.set()
        await eventually(lambda: len(reasons) == CROWD // 2, within=30)
        assert set(reasons.values()) == {LossReason.RESIGNED}
        kept = [term for number, term in terms.items() if number % 2 == 0]
        assert all(term.check() for term in kept), "the others go on"
        assert await stranger.get(f"{unique_key}/1") is None
        assert (await stranger.get(f"{unique_key}/0")).lease == lease.id
        await stranger.revoke(lease.id)
        await eventually(lambda: not any(term.check() for term in kept))
        await soon(leading, 10)
    assert {reasons[number] for number in range(0, CROWD, 2)} == {LossReason.REVOKED}
    assert client.statistics().watches == client.statistics().leases == 0
    assert lease.is_expired()
