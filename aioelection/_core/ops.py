"""Our own words for what is asked of etcd and what it answers: frozen, so that they can be kept and compared."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Target(enum.Enum):
    """The attribute of a key that a compare looks at; on a missing key all but VALUE read as 0."""

    VALUE = "value"
    VERSION = "version"
    CREATE = "create"
    MOD = "mod"
    LEASE = "lease"


class Relation(enum.Enum):
    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    GREATER = ">"


@dataclass(frozen=True, slots=True)
class Compare:
    key: bytes
    target: Target
    relation: Relation
    operand: int | bytes
    range_end: bytes = b""

    def __str__(self) -> str:
        return f"{self.target.value}({self.key!r}) {self.relation.value} {self.operand!r}"


def created_at(key: bytes, revision: int) -> Compare:
    """The compare that holds while ``key`` is the one created at ``revision`` (0: while it does not exist)."""
    return Compare(key, Target.CREATE, Relation.EQUAL, revision)


def held_by(key: bytes, lease_id: int) -> Compare:
    """The compare that holds while ``key`` is attached to that lease."""
    return Compare(key, Target.LEASE, Relation.EQUAL, lease_id)


def still(key: bytes, token: int, lease_id: int) -> tuple[Compare, Compare]:
    """The compares that hold while ``key`` is the one that a term created, on that term's lease: its guard."""
    return created_at(key, token), held_by(key, lease_id)


@dataclass(frozen=True, slots=True)
class Put:
    key: bytes
    value: bytes
    lease_id: int = 0
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    key: bytes
    range_end: bytes = b""


@dataclass(frozen=True, slots=True)
class Delete:
    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class Txn:
    compares: tuple[Compare, ...]
    success: tuple[Operation, ...] = ()
    failure: tuple[Operation, ...] = ()


Operation = Put | Get | Delete | Txn


@dataclass(frozen=True, slots=True)
class Header:
    """What every answer of etcd carries; ``raft_term`` is that of the last entry the member had applied."""

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as etcd keeps it; ``version`` counts its writes, and ``lease_id`` is 0 where it hangs on no lease."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease_id: int


@dataclass(frozen=True, slots=True)
class PutResult:
    """The answer to a put; ``previous`` is what was there, where it was asked for."""

    previous: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class GetResult:
    """The answer to a get: the keys that were found."""

    kvs: tuple[KeyValue, ...] = ()

    @property
    def kv(self) -> KeyValue | None:
        """The first of them; ``None`` if there is none."""
        return self.kvs[0] if self.kvs else None


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """The answer to a delete: how many keys there were; ``previous`` are they, where it was asked for."""

    deleted: int
    previous: tuple[KeyValue, ...] = ()


@dataclass(frozen=True, slots=True)
class TxnResult:
    """The answer to a transaction.

    ``succeeded`` tells which branch was applied, ``responses`` holds one result for each operation of that branch, and
    ``revision`` is the cluster's revision after it.
    """

    succeeded: bool
    responses: tuple[PutResult | GetResult | DeleteResult | TxnResult, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """One change of one key; for a deletion ``value`` is empty and ``mod_revision`` is that of the deletion."""

    deleted: bool
    kv: KeyValue
