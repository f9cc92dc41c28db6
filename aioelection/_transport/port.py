"""The port: what the library needs of a connection to one etcd member, in its own words.

Every implementation raises only the errors of ``aioelection.errors``, with this meaning:

``Unavailable``: the member did not serve, and the request was certainly not applied (or changes nothing anyway).
``OutcomeUnknown``: the request may have been applied; only ``txn``, ``grant`` and ``revoke`` raise it.
``LeaseNotFound``, ``LeaseExists`` and ``Overloaded``: below.

A cancellation that reaches a caller waiting here is always the caller's own, and carries the mark of the anyio scope
that it comes from. After one the request may have been applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aioelection._core.cursors import WatchReply
from aioelection._core.endpoints import Endpoint
from aioelection._core.ops import Compare, GetResult, Header, Operation, Txn, TxnResult
from aioelection.errors import ElectionError, Unavailable


class LeaseNotFound(ElectionError):
    """etcd does not know the lease (any more)."""


class LeaseExists(ElectionError):
    """A lease with this id exists already."""


class Overloaded(Unavailable):
    """etcd refused to write anything: no space left (NOSPACE alarm), or too many requests."""


class Reply(Protocol):
    """What every answer carries."""

    @property
    def header(self) -> Header: ...


@dataclass(frozen=True, slots=True)
class GetReply:
    header: Header
    result: GetResult


@dataclass(frozen=True, slots=True)
class TxnReply:
    header: Header
    result: TxnResult


@dataclass(frozen=True, slots=True)
class GrantReply:
    header: Header
    lease_id: int
    ttl: int


@dataclass(frozen=True, slots=True)
class RevokeReply:
    header: Header


@dataclass(frozen=True, slots=True)
class KeepAliveReply:
    header: Header
    lease_id: int
    ttl: int
    """Seconds; 0 if the member that answered does not know the lease."""


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    header: Header
    ttl: int
    """Seconds that are left by the server's count; -1 if the lease does not exist."""


@dataclass(frozen=True, slots=True)
class Status:
    header: Header
    version: str
    leaderless: bool
    """Whether the member says that it knows no leader; it may not be allowed to say."""


@dataclass(frozen=True, slots=True)
class MemberList:
    """Where the cluster's members listen for clients, learners and those that never started left out."""

    header: Header
    endpoints: tuple[Endpoint, ...]


class KeepAliveStream(Protocol):
    """One open stream of renewals; replies come in no promised order between leases."""

    async def send(self, lease_id: int) -> None: ...

    async def receive(self) -> KeepAliveReply: ...

    def close(self) -> None: ...


class WatchStream(Protocol):
    """One open stream of watches."""

    async def create(self, key: bytes, start_revision: int) -> None: ...

    async def cancel(self, watch_id: int) -> None: ...

    async def receive(self) -> WatchReply: ...

    def close(self) -> None: ...


class Connection(Protocol):
    """A connection to one member. Timeouts are in seconds."""

    @property
    def endpoint(self) -> Endpoint: ...

    async def status(self, *, timeout: float) -> Status: ...

    async def get(self, key: bytes, *, timeout: float) -> GetReply:
        """Read one key, linearizably."""

    async def txn(self, txn: Txn, *, timeout: float) -> TxnReply: ...

    async def grant(self, lease_id: int, ttl: int, *, timeout: float) -> GrantReply: ...

    async def revoke(self, lease_id: int, *, timeout: float) -> RevokeReply: ...

    async def lease_info(self, lease_id: int, *, timeout: float) -> LeaseInfo: ...

    async def members(self, *, timeout: float) -> MemberList: ...

    async def keep_alive(self, *, timeout: float) -> KeepAliveStream: ...

    async def watch(self, *, timeout: float) -> WatchStream: ...

    async def aclose(self) -> None: ...


class Words(Protocol):
    """Reads what a user writes in the words of a client library."""

    def compares(self, values: Sequence[object]) -> tuple[Compare, ...]:
        """Raises ``InvalidConfiguration`` for what is no compare."""

    def operations(self, values: Sequence[object]) -> tuple[Operation, ...]:
        """Raises ``InvalidConfiguration`` for what is no operation."""


class Transport(Words, Protocol):
    """Opens connections."""

    def open(self, endpoint: Endpoint) -> Connection: ...
