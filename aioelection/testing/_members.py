"""etcd's members, its Raft elections and leases, and the faults that befall them; on the event loop's clock.

What a quorum agrees on is one ``Store``; a member that is cut off or frozen lags behind it. A request that needs the
quorum is handled at one instant, at which every member in contact applies it too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TypeVar

from aioelection._core.endpoints import Endpoint
from aioelection._core.ops import Header, KeyEvent
from aioelection.errors import ElectionError, InvalidState, Unavailable
from aioelection.testing._store import Store, StoredLease

T = TypeVar("T")

CLUSTER_ID = 0xC1
SWEEP = 0.5
"""Seconds from one look at the leases to the next."""

SERVER_TIMEOUT = 7.0
"""Seconds after which a member gives up on a request: 5, and two election timeouts."""

ORPHANED = 3.5
"""Seconds without a leader after which a member ends its streams (``hasleader``)."""

STEP_DOWN = 0.01
"""Seconds from a deposed leader's resumption to its learning of it."""

RETRY = 0.05
"""Seconds between a member's attempts to forward a renewal."""


class Broken(Exception):
    """The member died under a request, or gave up on it."""


class Member:
    """One member of a ``MemoryEtcd``."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.name = f"etcd{number}"
        self.id = 0x100 + number
        self.endpoint = Endpoint(self.name, 2379)
        self.running = True
        self.paused = False
        self.isolated = False
        self.disk_hangs = False
        self.term = cluster.term
        """The Raft term of what it applied last."""
        self.applied = cluster.store.revision
        self.leads = False
        """By its own account, which may be out of date."""
        self.leader: Member | None = None
        """By its own account."""
        self.lives = 0
        """How often it was killed."""
        self.acknowledges: dict[int, int] = {}
        """The leases that it knew, with their TTLs, when it lost touch as a leader."""
        self.on_event: dict[bytes, dict[Callable[[KeyEvent], None], None]] = {}
        """Whom to tell of events, by key."""
        self.on_break: dict[Callable[[ElectionError], None], None] = {}
        """What ends with the member: its streams."""
        self.orphaned: asyncio.TimerHandle | None = None
        self.orphaned_since = math.inf

    @property
    def client_url(self) -> str:
        """The endpoint for clients."""
        return str(self.endpoint)

    @property
    def fit(self) -> bool:
        """Whether it takes part in the cluster."""
        return self.running and not (self.paused or self.isolated or self.disk_hangs)

    def header(self) -> Header:
        return Header(CLUSTER_ID, self.id, self.applied, self.term)

    def break_streams(self, error: ElectionError) -> None:
        for broken in list(self.on_break):
            broken(error)

    def __repr__(self) -> str:
        faults = {"killed": not self.running, "paused": self.paused, "isolated": self.isolated}
        states = [state for state, so in {**faults, "disk hangs": self.disk_hangs}.items() if so]
        return f"<Member {self.name} {' '.join(states) or 'running'}{' leads' * self.leads}>"


class Cluster:
    """Made in a running event loop."""

    def __init__(self, size: int, election_timeout: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.election_timeout = election_timeout
        self.least_ttl = math.ceil(1.5 * election_timeout)
        self.store = Store()
        self.term = 1
        self.no_space = False
        self.members = tuple(Member(self, number) for number in range(1, size + 1))
        self.leader: Member | None = None
        self._expiry: dict[int, float] = {}
        """When each lease ends, by the leader's count."""
        self._began = self.loop.time()
        self._news = asyncio.Event()
        self._election: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._lead(self.members[0])

    # ------------------------------------------------------------------ what a request meets

    async def serving(self, member: Member) -> None:
        """Wait until the member can have a request agreed on; it is handled at that very instant."""
        await self._until(member, lambda: not member.paused)
        await self._until(member, lambda: self._serves(member), self.loop.time() + SERVER_TIMEOUT)

    async def awake(self, member: Member) -> None:
        await self._until(member, lambda: not member.paused)

    def has_no_leader(self, member: Member) -> bool:
        """Whether the member knows by now that it has no leader."""
        return not member.leads and self.loop.time() - member.orphaned_since >= self.election_timeout

    def commit(self, change: Callable[[Store], T]) -> T:
        result = change(self.store)
        for member in self.members:
            if self._serves(member):
                self._catch_up(member)
        return result

    def grant(self, lease_id: int, ttl: int) -> StoredLease:
        lease = self.commit(lambda store: store.grant(lease_id, max(ttl, self.least_ttl)))
        self._expiry[lease.id] = self.loop.time() + lease.ttl
        self._arm_sweep(self._expiry[lease.id])
        return lease

    def revoke(self, lease_id: int) -> None:
        self.commit(lambda store: store.revoke(lease_id))
        del self._expiry[lease_id]
        self._tell()

    def lease_left(self, lease_id: int) -> int:
        """Whole seconds that the lease has left; -1 if there is no such."""
        expiry = self._expiry.get(lease_id)
        return -1 if expiry is None else int(max(0.0, expiry - self.loop.time()))

    async def renew(self, member: Member, lease_id: int) -> int:
        """The TTL that a renewal sent to this member is answered with."""
        deadline = self.loop.time() + SERVER_TIMEOUT
        while True:
            if self.loop.time() >= deadline:
                raise _timed_out(member)
            leader = member if member.leads else member.leader
            if leader is None or (leader is not member and member.isolated):
                await self._until(member, lambda: not member.isolated and member.leader is not None, deadline)
                continue
            ttl = await self._forward(member, leader, lease_id, deadline)
            if ttl is not None:
                return ttl
            await self._until(member, lambda: False, self.loop.time() + RETRY, fails=False)

    async def _forward(self, member: Member, leader: Member, lease_id: int, deadline: float) -> int | None:
        """``None``: whom it was sent to leads no more. A frozen one is waited for, whoever leads meanwhile."""
        life = leader.lives
        await self._until(member, lambda: not leader.paused or leader.lives != life, deadline)
        if leader.running and leader.leads and leader.lives == life:
            return await self._renew_at(leader, lease_id)
        return None

    async def _renew_at(self, leader: Member, lease_id: int) -> int | None:
        """``None``: it leads no more."""
        if leader is not self.leader:
            return leader.acknowledges.get(lease_id, 0)
        if lease_id in self.store.leases and self.loop.time() >= self._expiry[lease_id]:
            await self._until(leader, lambda: lease_id not in self.store.leases or leader is not self.leader)
            return None if leader is not self.leader else 0
        lease = self.store.leases.get(lease_id)
        if lease is None:
            return 0
        self._expiry[lease_id] = self.loop.time() + lease.ttl
        return lease.ttl

    async def _until(
        self, member: Member, condition: Callable[[], bool], deadline: float | None = None, *, fails: bool = True
    ) -> None:
        """Wait for news from the cluster; raises ``Broken`` if the member dies meanwhile."""
        life = member.lives
        try:
            async with asyncio.timeout_at(deadline):
                while not condition():
                    await self._news.wait()
                    if member.lives != life:
                        raise Broken(f"{member.endpoint}: connection reset")
        except TimeoutError:
            if fails:
                raise _timed_out(member) from None

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # ------------------------------------------------------------------ faults

    def pause(self, member: Member) -> None:
        if not member.running:
            raise InvalidState(f"{member!r} cannot be paused")
        self._lose_touch(member)
        member.paused = True
        self._review()

    def resume(self, member: Member) -> None:
        member.paused = False
        self._rejoin(member)

    def isolate(self, member: Member) -> None:
        self._lose_touch(member)
        member.isolated = True
        if member.leads:  # it finds out by itself, as late as 2 election timeouts after
            self.loop.call_later(1.5 * self.election_timeout, self._step_down, member)
        self._review()

    def heal(self, member: Member) -> None:
        member.isolated = False
        self._rejoin(member)

    def hang_disk(self, member: Member) -> None:
        self._lose_touch(member)
        member.disk_hangs = True
        self._review()

    def mend_disk(self, member: Member) -> None:
        member.disk_hangs = False
        self._rejoin(member)

    def kill(self, member: Member) -> None:
        member.running = member.paused = member.disk_hangs = member.leads = False
        member.leader = None
        member.lives += 1
        if member is self.leader:  # back before an election, it does not lead
            self.leader = None
        member.break_streams(Unavailable(f"{member.endpoint}: connection reset"))
        self._review()

    def start(self, member: Member) -> None:
        member.running = True
        self._rejoin(member)

    def restore(self, store: Store) -> None:
        """The process of every member ends, and starts on other data."""
        for member in self.members:
            self.kill(member)
        self.store = store
        self._expiry = {lease.id: self.loop.time() + lease.ttl for lease in store.leases.values()}
        for member in self.members:
            member.applied = store.revision
            self.start(member)

    def move_leader(self, member: Member) -> None:
        if not (self._quorum() and member.fit):
            raise InvalidState(f"{member!r} cannot be made the leader now")
        self._lead(member)

    def close(self) -> None:
        for timer in (self._election, self._sweep, *(member.orphaned for member in self.members)):
            if timer is not None:
                timer.cancel()
        for member in self.members:
            member.break_streams(Unavailable("the in-memory etcd was closed"))

    def _lose_touch(self, member: Member) -> None:
        if member is self.leader and member.fit:
            member.acknowledges = {lease.id: lease.ttl for lease in self.store.leases.values()}

    def _rejoin(self, member: Member) -> None:
        """A deposed leader that was frozen first answers, in its old term, the renewals that wait on it."""
        if member.leads and member is not self.leader and member.running:
            self.loop.call_later(STEP_DOWN, self._step_down, member)
        self._review()

    def _step_down(self, member: Member) -> None:
        if member is not self.leader and not (member.paused or member.disk_hangs):
            member.leads = False
            member.leader = None
            self._review()

    # ------------------------------------------------------------------ elections

    def _quorum(self) -> bool:
        return 2 * sum(member.fit for member in self.members) > len(self.members)

    def _led(self) -> bool:
        return self._quorum() and self.leader is not None and self.leader.fit

    def _serves(self, member: Member) -> bool:
        return member.fit and self._led() and member.leader is self.leader

    def _review(self) -> None:
        """Something changed: who follows, whether there has to be an election, who has lost touch."""
        led = self._led()
        if led and self._election is not None:
            self._election.cancel()
            self._election = None
        elif not led and self._election is None:
            self._election = self.loop.call_later(self.election_timeout, self._elect)
        if led:
            for member in self.members:
                if member.fit and (member is self.leader or not member.leads):
                    member.leader = self.leader
                    self._catch_up(member)
            self._arm_sweep(min(self._expiry.values(), default=math.inf))
        for member in self.members:
            self._watch_over(member)
        self._tell()

    def _elect(self) -> None:
        self._election = None
        if self._quorum():
            start = self.members.index(self.leader) + 1 if self.leader is not None else 0
            turn = (*self.members[start:], *self.members[:start])
            self._lead(next(member for member in turn if member.fit))
            return
        if self.leader is not None and not (self.leader.paused or self.leader.disk_hangs):
            self.leader.leads = False
        self.leader = None
        for member in self.members:
            if member.fit:
                member.leader = None
        self._tell()

    def _lead(self, leader: Member) -> None:
        """A new term: its leader counts every lease anew, with an election timeout on top."""
        if self.leader is not None and self.leader.fit:
            self.leader.leads = False
        self.leader = leader
        self.term += 1
        leader.leads = True
        now = self.loop.time()
        for lease in self.store.leases.values():
            self._expiry[lease.id] = now + lease.ttl + self.election_timeout
        self._review()

    def _catch_up(self, member: Member) -> None:
        before, member.applied, member.term = member.applied, self.store.revision, self.term
        for event in self.store.events(before, member.applied):
            for tell in list(member.on_event.get(event.kv.key, ())):
                tell(event)

    def _watch_over(self, member: Member) -> None:
        """Without a leader for long, a member ends its streams."""
        orphaned = member.running and (member.isolated or not self._quorum())
        if not orphaned and member.orphaned is not None:
            member.orphaned.cancel()
            member.orphaned, member.orphaned_since = None, math.inf
        elif orphaned and member.orphaned is None:
            member.orphaned_since = self.loop.time()
            member.orphaned = self.loop.call_later(ORPHANED, self._end_streams, member)

    def leaderless(self, member: Member) -> bool:
        """Whether a member has noticed that it is out of touch with a leader."""
        return self.loop.time() - member.orphaned_since >= 1.5 * self.election_timeout

    def _end_streams(self, member: Member) -> None:
        if member.paused:
            member.orphaned = self.loop.call_later(ORPHANED, self._end_streams, member)
        else:
            member.break_streams(Unavailable(f"{member.endpoint}: etcdserver: no leader"))

    # ------------------------------------------------------------------ expiry

    def _arm_sweep(self, expiry: float) -> None:
        if expiry == math.inf:
            return
        ticks = math.ceil((max(expiry, self.loop.time()) - self._began) / SWEEP)
        at = self._began + ticks * SWEEP
        if self._sweep is None or at < self._sweep.when():
            if self._sweep is not None:
                self._sweep.cancel()
            self._sweep = self.loop.call_at(at, self._revoke_expired)

    def _revoke_expired(self) -> None:
        self._sweep = None
        if not self._led():
            return  # whoever leads next takes it up
        now = self.loop.time()
        for lease_id in [each for each, expiry in self._expiry.items() if expiry <= now]:
            self.revoke(lease_id)
        self._arm_sweep(min(self._expiry.values(), default=math.inf))


def _timed_out(member: Member) -> Broken:
    return Broken(f"{member.endpoint}: etcdserver: request timed out")
