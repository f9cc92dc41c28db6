"""Ways of electing a leader, each at its best documented use; one file each.

A peer's module has ``candidate(stack, place, key)``: a candidate with a connection of its own, which the stack closes.
"""

from __future__ import annotations

import importlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, cast

from benchmarks.figure import FLOOR, OURS, Place


class Candidate(Protocol):
    """Stands and resigns, in turn; both tell an instant of ``time.monotonic``, each as near to the act as it can."""

    async def stand(self) -> float:
        """Stand until elected; the instant at which it led."""

    async def resign(self) -> float:
        """Give up the leadership; the instant at which that began."""


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    module: str
    about: str

    async def candidate(self, stack: AsyncExitStack, place: Place, key: str) -> Candidate:
        module = importlib.import_module(f"benchmarks.peers.{self.module}")
        return cast(Candidate, await module.candidate(stack, place, key))


PEERS = (
    Peer(OURS, "ours", "`async with leadership.campaign(...)`, with a lease of its own"),
    Peer(
        FLOOR,
        "floor",
        "the same exchange over bare gRPC stubs: a lease granted beforehand, a transaction, a watch; a delete to "
        "resign. It renews nothing, checks nothing and recovers from nothing",
    ),
    Peer("PD's way", "pd", "over bare stubs: watch, then grant, then transaction; a revoke to resign"),
    Peer("aetcd Lock", "aetcd_lock", "`acquire(timeout=None)`, `release()`"),
    Peer("etcd3aio", "etcd3aio_election", "`async with client.election(...)`"),
    Peer(
        "election service",
        "election_service",
        "etcd's own `v3election`: `Campaign` and `Resign` over a bare channel, a lease granted beforehand",
    ),
    Peer("etcdctl elect", "etcdctl", "etcd's Go client: `etcdctl elect`, SIGINT to resign; a process each"),
    Peer("kazoo", "kazoo_election", "`client.Election(path).run(...)` on a ZooKeeper of one member, fsync off"),
)

NOT_RUN = {
    "kubernetes-asyncio": "its leader election needs the API server of a cluster, and there is none to be had here; it "
    "polls a Lease object, every 2 s by default, so that a hand-over takes as long",
}
"""Peers that are not measured, and why."""

BY_NAME = {peer.name: peer for peer in PEERS}
