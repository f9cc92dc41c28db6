"""Keys that a shared lease may hold without anybody knowing: what a campaign's unanswered transaction left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aioelection._aio.mailbox import Mailbox
from aioelection._core.facts import Changed, Reread
from aioelection._core.ops import Delete, Txn, still
from aioelection._shell.report import fields
from aioelection.errors import ElectionError

if TYPE_CHECKING:
    from aioelection._shell.hub import Hub
    from aioelection._shell.lease_life import LeaseLife

LOOK = 0.5
"""Seconds between looks, besides those that the watch brings about."""

log = logging.getLogger("aioelection")


async def sweep(hub: Hub, lease: LeaseLife, key: bytes) -> None:
    """While the lease lives, delete ``key`` whenever it hangs on the lease and no candidate or term claims it.

    There is no end before the lease's: how long a frozen member keeps a request is not bounded.
    """
    lease_id = lease.id
    news = Mailbox(hub.clock)
    revision = 0
    while lease.id == lease_id and not lease.is_expired():
        try:
            reply = await hub.pool.get(key, timeout=LOOK)
            kv, revision = reply.result.kv, reply.header.revision
            if kv is not None and kv.lease_id == lease_id and not lease.claims(key):
                ours = still(key, kv.create_revision, lease_id)
                await hub.pool.txn(Txn(ours, (Delete(key),)), timeout=LOOK)
                which = fields(key, lease.purpose)
                log.warning("deleted %r, which an abandoned campaign had left", key, extra=which)
        except ElectionError as error:
            log.info("looking for an abandoned key %r: %s", key, error, extra=fields(key, lease.purpose))
        with hub.watches.subscribe(key, revision + 1, news.put):
            await _changed(news, hub.clock.now() + LOOK)
        news.clear()


async def _changed(news: Mailbox, until: float) -> None:
    """Wait until the key has changed, or until that instant; that the watch stands is no reason to look."""
    while (fact := await news.get(until)) is not None:
        if isinstance(fact, Changed | Reread):
            return
