"""Seeing to it that the leader key is still a term's own, and changing its value.

The lease can be alive while the key is not ours: a renewal alone would never tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aioelection._core.facts import Changed, Ended, Fact, Reread
from aioelection._core.ops import Get, GetResult, KeyEvent, KeyValue, Put, Txn, still
from aioelection._shell.hub import REQUEST_TIMEOUT, Hub
from aioelection._transport.key_watch import Subscription
from aioelection.errors import ElectionError, LossReason, NotLeader, OutcomeUnknown

if TYPE_CHECKING:
    from aioelection._shell.lease_life import LeaseLife
    from aioelection.term import Term

EXPLANATION = 0.05
"""Seconds that are spent on telling a revoked lease from a deleted key; ``check()`` is false meanwhile."""


class KeyGuard:
    """Watches the key of one term, and tells why the term is lost when it goes."""

    def __init__(self, hub: Hub, term: Term, lease: LeaseLife, lost: Callable[[LossReason], None]) -> None:
        self._hub = hub
        self._term = term
        self._lease = lease
        self._lost = lost
        self._doomed = False
        """The key is known to be gone, and only the reason is still being asked for."""
        self._proclaiming = asyncio.Lock()
        self._announced: list[bytes] = []
        """Values that were sent and not seen in the watch yet: a put of one of them is no overwrite."""
        self._valued_at = term.fencing_token
        """The mod revision at which the term's value was seen."""

    def watch(self) -> Subscription:
        """Watch the key for what has happened since the win, until what this returns is closed."""
        return self._hub.watches.subscribe(self._term.leader_key, self._term.fencing_token + 1, self.told)

    def settle(self) -> None:
        """What is decided is decided now: if the key is known to be gone, the reason is not waited for."""
        if self._doomed:
            self._lost(LossReason.DELETED)

    async def proclaim(self, value: bytes) -> None:
        """Change the key's value; one at a time, so that the last call's value stays."""
        async with self._proclaiming:
            if not self._term.check():
                raise NotLeader(f"{self._term!r}: only a valid term proclaims")
            self._announced.append(value)
            try:
                await self._put(value)
            except (OutcomeUnknown, asyncio.CancelledError):
                raise  # it may still come
            except ElectionError:
                self._announced.remove(value)
                raise

    async def _put(self, value: bytes) -> None:
        key, lease_id = self._term.leader_key, self._lease.id
        ours = still(key, self._term.fencing_token, lease_id)
        reply = await self._hub.pool.txn(Txn(ours, (Put(key, value, lease_id),), (Get(key),)), timeout=REQUEST_TIMEOUT)
        if reply.result.succeeded:
            self._valued(value, reply.result.revision)
            return
        answer = reply.result.responses[0]
        self._judge(answer.kv if isinstance(answer, GetResult) else None)
        raise NotLeader(f"{self._term!r}: the leader key is not this term's any more")

    def _valued(self, value: bytes, revision: int) -> None:
        if revision > self._valued_at:
            self._valued_at = revision
            self._term.leader_value = value

    # ------------------------------------------------------------------ what the watch tells

    def told(self, fact: Fact) -> None:
        if self._term.loss_reason is not None:
            return  # the key is being released
        match fact:
            case Changed(event):
                self._changed(event)
            case Reread(kv, _):
                self._judge(kv)
            case Ended(error):
                self._lost(LossReason.CLOSED if error is None else LossReason.REFUSED)

    def _changed(self, event: KeyEvent) -> None:
        if event.deleted:
            self._gone()
        elif self._is_proclaimed(event.kv):
            self._announced.remove(event.kv.value)
            self._valued(event.kv.value, event.kv.mod_revision)
        elif not self._doomed:  # else it is a rival's, who has won since
            self._lost(LossReason.OVERWRITTEN)

    def _is_proclaimed(self, kv: KeyValue) -> bool:
        return kv.lease_id == self._lease.id and kv.value in self._announced

    def _judge(self, kv: KeyValue | None) -> None:
        """The key as it was read."""
        if kv is None or kv.create_revision != self._term.fencing_token:
            self._gone()
        elif kv.lease_id != self._lease.id:
            self._lost(LossReason.OVERWRITTEN)
        else:
            self._valued(kv.value, kv.mod_revision)

    def _gone(self) -> None:
        if not self._doomed:
            self._doomed = True
            self._term.disbelieve()
            self._hub.spawn(self._explain())

    async def _explain(self) -> None:
        """A deleted key and a revoked lease look alike in a watch; whoever investigates wants to know."""
        lease_id = self._lease.id
        try:
            info = await self._hub.pool.lease_info(lease_id, timeout=EXPLANATION)
        except ElectionError:
            self._lost(LossReason.DELETED)
            return
        if info.ttl <= 0:
            self._lease.gone(lease_id)
        self._lost(LossReason.DELETED)
