"""The in-memory etcd as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from types import TracebackType
from typing import Self

from aioelection._aio.clock import Clock
from aioelection._aio.hooks import hooks_of
from aioelection._aio.tasks import Tasks
from aioelection._core.events import Hook
from aioelection._core.ops import Delete, KeyValue, Put, Txn
from aioelection._shell.hub import Hub
from aioelection.client import Client
from aioelection.connect import words
from aioelection.errors import InvalidConfiguration
from aioelection.testing._connection import MemoryTransport
from aioelection.testing._link import Gates, Hold, Link, Method, When
from aioelection.testing._members import Cluster, Member
from aioelection.testing._store import Store


class MemoryEtcd:
    """An etcd cluster in memory, made in a running event loop and ended by ``async with`` or ``aclose``.

    Args:
        members: how many.
        latency: seconds that a message takes between a client and a member, one way.
        election_timeout: seconds after which an etcd leader that is out of touch is replaced.
    """

    def __init__(self, members: int = 3, *, latency: float = 0.0005, election_timeout: float = 1.0) -> None:
        if members < 1:
            raise InvalidConfiguration(f"members must be a number from 1 on, not {members!r}")
        self._cluster = Cluster(members, election_timeout)
        self._latency = latency
        self._gates = Gates()
        self._backup = Store()
        self._tasks = Tasks()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End it: what is under way on it is never answered, streams break."""
        self._cluster.close()
        await self._tasks.aclose()

    # ------------------------------------------------------------------ what it is

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, whatever has befallen them."""
        return self._cluster.members

    @property
    def leader(self) -> Member | None:
        """The member that a quorum took for etcd's leader last; it may have been paused or cut off since."""
        return self._cluster.leader

    @property
    def followers(self) -> tuple[Member, ...]:
        """All members but the leader."""
        return tuple(member for member in self.members if member is not self.leader)

    @property
    def revision(self) -> int:
        """The cluster's revision."""
        return self._cluster.store.revision

    @property
    def raft_term(self) -> int:
        """The present Raft term."""
        return self._cluster.term

    def get(self, key: str | bytes) -> KeyValue | None:
        """The key as it is now, by no member's leave; ``None`` if there is none."""
        return self._cluster.store.get(_bytes(key)).kv

    @property
    def leases(self) -> dict[int, int]:
        """The leases that exist, with their TTLs."""
        return {lease.id: lease.ttl for lease in self._cluster.store.leases.values()}

    def __repr__(self) -> str:
        return f"<MemoryEtcd revision {self.revision} term {self.raft_term} {list(self.members)}>"

    # ------------------------------------------------------------------ clients

    def client(
        self,
        *members: Member,
        discover: bool = True,
        clock: Clock | None = None,
        hooks: Hook | Iterable[Hook] = (),
    ) -> Client:
        """A client of those members at first, or of all; its clock is the event loop's, unless another is given.

        ``async with etcd.client() as client`` closes it. ``discover``: learn the other members, as ``connect`` does.
        ``hooks``: as for ``connect``.
        """
        endpoints = tuple(member.endpoint for member in members or self.members)
        hub = Hub(self.transport(), endpoints, clock or Clock(self._cluster.loop.time), hooks_of(hooks))
        hub.check_use()
        hub.caretaker.start(learn=discover)
        return Client(hub)

    def transport(self) -> MemoryTransport:
        """For the library's own tests: a client's links, with no client."""
        return MemoryTransport(self._cluster, self._gates, self._tasks, self._latency, words())

    def link(self, client: Client, member: Member) -> Link:
        """What lies between that client and that member, to be broken."""
        return _links(client)[member]

    def links(self, client: Client, *, but: Sequence[Member] = ()) -> list[Link]:
        """Those between that client and every member, or every other one."""
        return [link for member, link in _links(client).items() if member not in but]

    def hold(self, method: Method, *, when: When = "before", client: Client | None = None) -> Hold:
        """``with etcd.hold("txn", when="after") as held:`` holds such requests at the members, of one client or all.

        ``before``: not handled yet; ``after``: handled, and not answered. Requests are named as etcd's are: ``status``,
        ``get``, ``txn``, ``grant``, ``revoke``, ``lease_info``, ``members``, for each renewal ``keep_alive`` and, for
        each request on a watch stream, ``watch``, which is held before only.
        """
        return Hold(self._gates, method, when, () if client is None else tuple(_links(client).values()))

    # ------------------------------------------------------------------ what a stranger does

    def put(self, key: str | bytes, value: str | bytes, lease_id: int = 0) -> int:
        """Write, as somebody else and even without a quorum; returns the revision."""
        put = Put(_bytes(key), _bytes(value), lease_id)
        return self._cluster.commit(lambda store: store.txn(Txn((), (put,)))).revision

    def delete(self, key: str | bytes) -> int:
        """Delete, as somebody else; returns the revision."""
        return self._cluster.commit(lambda store: store.txn(Txn((), (Delete(_bytes(key)),)))).revision

    def grant(self, ttl: int) -> int:
        """Grant a lease, as somebody else; returns its id."""
        return self._cluster.grant(0, ttl).id

    def revoke(self, lease_id: int) -> None:
        """Revoke a lease, as somebody else."""
        self._cluster.revoke(lease_id)

    def compact(self, revision: int | None = None) -> int:
        """Forget the history before that revision, or before the present one; returns it."""
        revision = self.revision if revision is None else revision
        self._cluster.store.compact(revision)
        return revision

    # ------------------------------------------------------------------ faults

    @property
    def no_space(self) -> bool:
        """The NOSPACE alarm: while it is set, everything that writes is refused but a revoke."""
        return self._cluster.no_space

    @no_space.setter
    def no_space(self, raised: bool) -> None:
        self._cluster.no_space = raised

    def pause(self, member: Member) -> None:
        """Freeze the member: its connections stay, nothing answers, what is sent to it waits."""
        self._cluster.pause(member)

    def resume(self, member: Member) -> None:
        """Let it go on: what waits is handled now, however late.

        A leader that has been replaced meanwhile first acknowledges, in its old Raft term, every renewal that waits on
        it: for leases that it knew, whether or not they still exist, which is the worst that etcd could do.
        """
        self._cluster.resume(member)

    def kill(self, member: Member) -> None:
        """End the member's process: connections break, and are refused until ``start``."""
        self._cluster.kill(member)

    def start(self, member: Member) -> None:
        """Start it again."""
        self._cluster.start(member)

    def isolate(self, member: Member) -> None:
        """Cut the member off from the others, not from clients."""
        self._cluster.isolate(member)

    def heal(self, member: Member) -> None:
        """Undo ``isolate``."""
        self._cluster.heal(member)

    def hang_disk(self, member: Member) -> None:
        """Let nothing that the member writes reach its disk: it stands still where it is, still knows its leader, and
        answers what takes no agreement with the others; creations of watches, too, which tell nothing then.
        """
        self._cluster.hang_disk(member)

    def mend_disk(self, member: Member) -> None:
        """Undo ``hang_disk``."""
        self._cluster.mend_disk(member)

    def backup(self) -> None:
        """Keep what there is now, for ``restore``."""
        self._backup = deepcopy(self._cluster.store)

    def restore(self) -> None:
        """Kill every member, and start it on the backup: revisions go back, and leases begin anew."""
        self._cluster.restore(deepcopy(self._backup))

    def move_leader(self, member: Member) -> None:
        """Make the member etcd's leader, in a new Raft term."""
        self._cluster.move_leader(member)


def _links(client: Client) -> dict[Member, Link]:
    transport = client.hub.transport
    if not isinstance(transport, MemoryTransport):
        raise InvalidConfiguration(f"{client!r} is no client of an in-memory etcd")
    return transport.links


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
