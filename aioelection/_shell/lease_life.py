"""The inner life of a lease: what is known of it, who stands or falls with it, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from aioelection._aio.tasks import finish
from aioelection._core.deadline import Deadline, renewal_interval
from aioelection._shell.hub import CLEAN_UP, REQUEST_TIMEOUT, Hub
from aioelection._shell.orphans import sweep
from aioelection._transport.port import LeaseExists
from aioelection.errors import (
    ElectionError,
    InvalidState,
    LeaseExpired,
    LossReason,
    OutcomeUnknown,
    Unavailable,
)

BARRIER_KEY = b"aioelection/barrier"
"""Read to prove a renewal of a lease on which nobody stands; it need not exist."""

OVERTAKING = 0.1
"""Seconds that a revoke may be ahead of its grant in etcd, which handles what comes on one connection in any order."""

log = logging.getLogger("aioelection.lease")


class Holder(Protocol):
    """Something that stands or falls with a lease: a candidate or a term. Called synchronously."""

    def lease_ended(self, reason: LossReason) -> None: ...

    def lease_suspended(self) -> None:
        """A renewal failed."""

    def lease_resumed(self) -> None:
        """A renewal was acknowledged again."""

    @property
    def key(self) -> bytes: ...

    @property
    def attached(self) -> bool:
        """Whether the key is known to hang on the lease."""


class LeaseLife:
    """One lease of a hub's; the public ``Lease`` is its face."""

    def __init__(self, hub: Hub, purpose: str) -> None:
        self._hub = hub
        self.purpose = purpose
        self.deadline = Deadline()
        self.closed = False
        """Given up by us."""
        self.ended = asyncio.Event()
        """Set when the lease of the present id is believed no more."""
        self._id = 0
        self._revocable = False
        """Whether etcd may know a lease of this id that was not revoked yet."""
        self._gone_by = 0.0
        """When etcd has expired the lease by itself at the latest, if the clocks agree; revoking is moot then."""
        self._granting = False
        self._keepers = 0
        self._holders: dict[Holder, None] = {}
        self._claims: Counter[bytes] = Counter()
        """How many holders each key has: a thousand may be on one lease."""
        self._verifying = False
        self.suspended = False
        """Its last renewal has failed, and the holders were told."""
        self._swept: set[bytes] = set()
        hub.leases.add(self)

    @property
    def id(self) -> int:
        return self._id

    @property
    def barrier_key(self) -> bytes:
        """Whoever stands for a key may read it; with nobody on the lease, a key of our own has to serve."""
        return next((holder.key for holder in self._holders), BARRIER_KEY)

    @property
    def sole_key(self) -> bytes | None:
        """The key of the one holder, where there is one and no other."""
        return next(iter(self._holders)).key if len(self._holders) == 1 else None

    def remaining(self) -> float:
        return self.deadline.remaining(self._hub.clock.now())

    async def expired_in_etcd(self) -> None:
        """Wait until etcd has expired it by itself, if it was not renewed since."""
        await self._hub.clock.sleep(self._gone_by - self._hub.clock.now())

    def is_expired(self) -> bool:
        return self.deadline.expired(self._hub.clock.now())

    async def grant(self, ttl: int) -> None:
        self._hub.check_use()
        if self._granting or not self.is_expired():
            raise InvalidState(f"{self!r} is granted already, or is being granted")
        if self._id and not self.ended.is_set():
            self.expire()  # the deadline has passed, and the alarm has not rung yet: it must not ring for the next
        self._begin(secrets.randbits(62) + 1)
        self._granting = True
        sent = self._hub.clock.now()
        try:
            reply = await self._hub.pool.grant(self._id, ttl, timeout=REQUEST_TIMEOUT)
            if self.closed or self._hub.closed:
                raise InvalidState("the lease, or its client, was closed while it was being granted")
        except LeaseExists:
            raise Unavailable("the lease id that was drawn is taken; try again") from None
        except BaseException as error:
            await finish(self._revoke_unanswered(ttl))
            if isinstance(error, OutcomeUnknown):
                raise Unavailable(f"no answer to a grant: {error}") from error
            raise
        finally:
            self._granting = False
        self._gone_by = self._hub.clock.now() + reply.ttl
        self.deadline.granted(sent, reply.ttl)
        self._hub.deadlines.set(self)
        if self._keepers:  # those of the lease before, who go on
            self._hub.renewals.add(self)

    async def keep_alive(self) -> None:
        self._hub.check_use()
        ended = self.ended
        if not self.closed and self.is_expired():
            raise LeaseExpired(f"{self!r} is expired")
        with self.kept():
            await ended.wait()
        if self._hub.closed and not self.closed:
            raise InvalidState("the client was closed")
        if not self.closed:
            raise LeaseExpired(f"{self!r} was lost")

    async def close(self) -> None:
        """Cancelled, it goes on."""
        if lease_id := self.give_up():
            await finish(self.revoke(lease_id))

    def give_up(self) -> int:
        """From here on nobody believes in it; returns the id that is to be revoked, if any: it may be granted anew."""
        self._hub.check_place()
        if self._id == 0:
            return 0
        self.closed = True
        self.end(LossReason.REVOKED)
        return self._id if self._revocable else 0

    async def revoke_leftover(self) -> None:
        """Revoke it though it should have expired."""
        log.info("%r: is still there; revoked", self, extra={"purpose": self.purpose})
        await self._ask_to_revoke(self._id)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have the lease renewed while the block runs."""
        self.keep()
        try:
            yield
        finally:
            self.unkeep()

    def keep(self) -> None:
        """Have the lease renewed until as many ``unkeep``."""
        self._keepers += 1
        if self._keepers == 1 and not self.ended.is_set():
            self._hub.renewals.add(self)

    def unkeep(self) -> None:
        self._keepers -= 1
        if self._keepers == 0:
            self._hub.renewals.remove(self)

    def attach(self, holder: Holder) -> None:
        """Tell the holder from now on what happens to the lease."""
        if holder not in self._holders:
            self._holders[holder] = None
            self._claims[holder.key] += 1

    def detach(self, holder: Holder) -> None:
        if holder in self._holders:
            del self._holders[holder]
            self._claims[holder.key] -= 1
            if not self._claims[holder.key]:
                del self._claims[holder.key]

    def claims(self, key: bytes) -> bool:
        """Whether a candidate or a term on this lease stands for that key."""
        return key in self._claims

    def check_unclaimed(self, key: bytes) -> None:
        """Raise ``InvalidState`` if ``key`` is claimed: one campaign or term at a time stands for it on a lease."""
        if self.claims(key):
            raise InvalidState(f"another campaign or term for {key!r} is on this lease")

    def is_swept(self, key: bytes) -> bool:
        """Whether ``sweep`` was called for that key."""
        return key in self._swept

    def sweep(self, key: bytes) -> None:
        """A transaction that would attach ``key`` was not answered: see to it that no unclaimed key is left."""
        if key not in self._swept:
            self._swept.add(key)
            self._hub.spawn(sweep(self._hub, self, key))

    def expire(self) -> None:
        """The deadline has passed."""
        stalled = self._hub.deadlines.behind() >= renewal_interval(self.deadline.ttl)
        self.end(LossReason.STALLED if stalled else LossReason.EXPIRED)

    def client_closed(self) -> None:
        """Nothing renews it any more, and nobody is told of its deadline."""
        if not self.ended.is_set():
            self.end(LossReason.CLOSED)

    def gone(self, lease_id: int) -> None:
        """etcd said that there is no lease of that id; it may have been granted anew since."""
        if lease_id != self._id:
            return
        self._revocable = False
        self.end(LossReason.REVOKED)

    def acknowledged(self, sent: float, ttl: int) -> None:
        now = self._hub.clock.now()
        if self.deadline.acknowledged(sent, ttl, now):
            self._gone_by = now + ttl
            self._resume()
        else:
            self.expire()

    def renewal_failed(self) -> None:
        self.suspended = True
        for holder in list(self._holders):
            holder.lease_suspended()

    def _resume(self) -> None:
        """There may be ten thousand holders: they are told only what is new."""
        if self.suspended:
            self.suspended = False
            for holder in list(self._holders):
                holder.lease_resumed()

    def missing(self) -> None:
        """A TTL of 0 is no proof: a new etcd leader that is still applying old grants answers it too."""
        if not self._verifying:
            self._verifying = True
            self._hub.spawn(self._verify())

    def _begin(self, lease_id: int) -> None:
        self._id = lease_id
        self.ended = asyncio.Event()
        self.closed = False
        self._revocable = True
        self._swept = set()
        self.suspended = False
        self.deadline = Deadline()

    def end(self, reason: LossReason) -> None:
        """It is believed no more, and whoever is on it is told."""
        self.deadline.expire()
        self._hub.deadlines.unset(self)
        self._hub.renewals.remove(self)
        self.ended.set()
        for holder in list(self._holders):
            holder.lease_ended(reason)

    async def _verify(self) -> None:
        lease_id = self._id
        try:
            exists = await self._exists(lease_id)
        except ElectionError as error:
            log.info("%r: cannot tell whether it exists: %s", self, error, extra={"purpose": self.purpose})
            exists = True  # the deadline decides
        finally:
            self._verifying = False
        if self._id != lease_id or self.is_expired():
            return
        if not exists:
            self.gone(lease_id)
            return
        self.deadline.failed(self._hub.clock.now())
        self.renewal_failed()
        self._hub.renewals.hurry(self)

    async def _exists(self, lease_id: int) -> bool:
        """Ask by a linearizable read of an attached key, or, where there is none, by the lease itself."""
        keys = [holder.key for holder in self._holders if holder.attached]
        for key in keys:
            reply = await self._hub.pool.get(key, timeout=CLEAN_UP)
            if reply.result.kv is not None and reply.result.kv.lease_id == lease_id:
                return True
        return not keys and (await self._hub.pool.lease_info(lease_id, timeout=CLEAN_UP)).ttl > 0

    async def revoke(self, lease_id: int) -> bool:
        """Returns whether etcd knew the lease."""
        known = False
        if self._hub.clock.now() < self._gone_by:
            known = await self._ask_to_revoke(lease_id)
        if lease_id == self._id:  # else it has been granted anew
            self._revocable = False
        return known

    async def _ask_to_revoke(self, lease_id: int) -> bool:
        """Returns whether etcd knew the lease."""
        try:
            return await self._hub.pool.revoke(lease_id, timeout=CLEAN_UP)
        except OutcomeUnknown as error:
            raise Unavailable(f"no answer to a revoke: {error}") from error

    async def _revoke_unanswered(self, ttl: int) -> None:
        """Revoke what a grant may have left; one that is applied after even that holds no key, and expires."""
        self._gone_by = self._hub.clock.now() + ttl
        try:
            if not await self.revoke(self._id):
                await asyncio.sleep(OVERTAKING)
                await self.revoke(self._id)
        except ElectionError as error:
            log.warning("%r: left to expire: %s", self, error, extra={"purpose": self.purpose})
            self._revocable = False
        self.ended.set()

    def __repr__(self) -> str:
        state = "expired" if self.is_expired() else f"{self.remaining():.1f} s of {self.deadline.ttl} left"
        return f"<Lease {self._id:x} {self.purpose!r} {state}>"
