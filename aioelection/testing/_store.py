"""What etcd's members agree on: keys, their history, and which leases there are. No clock, no network."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from aioelection._core.ops import (
    Compare,
    Delete,
    DeleteResult,
    Get,
    GetResult,
    KeyEvent,
    KeyValue,
    Operation,
    Put,
    PutResult,
    Relation,
    Target,
    Txn,
    TxnResult,
)
from aioelection._transport.port import LeaseExists, LeaseNotFound
from aioelection.errors import InvalidConfiguration

LONGEST_TTL = 9_000_000_000
MOST_OPERATIONS = 128
NOTHING = KeyValue(b"", b"", 0, 0, 0, 0)
"""What a compare sees where there is no key."""

_RELATIONS = {
    Relation.EQUAL: operator.eq,
    Relation.NOT_EQUAL: operator.ne,
    Relation.LESS: operator.lt,
    Relation.GREATER: operator.gt,
}
_TARGETS = {
    Target.VALUE: operator.attrgetter("value"),
    Target.VERSION: operator.attrgetter("version"),
    Target.CREATE: operator.attrgetter("create_revision"),
    Target.MOD: operator.attrgetter("mod_revision"),
    Target.LEASE: operator.attrgetter("lease_id"),
}


@dataclass(slots=True)
class StoredLease:
    id: int
    ttl: int
    keys: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A transaction whose branches are chosen."""

    succeeded: bool
    operations: tuple[Put | Get | Delete | _Plan, ...]


class Store:
    """One transaction, one revision; a request that is refused changes nothing."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.leases: dict[int, StoredLease] = {}
        self._kvs: dict[bytes, KeyValue] = {}
        self._history: list[KeyEvent] = []
        self._last_id = 0

    def get(self, key: bytes, range_end: bytes = b"") -> GetResult:
        return GetResult(tuple(self._kvs[each] for each in self._keys(key, range_end)))

    def txn(self, txn: Txn) -> TxnResult:
        _check(txn)
        plan = self._choose(txn)
        for put in _puts(plan):
            if put.lease_id and put.lease_id not in self.leases:
                raise LeaseNotFound("etcdserver: requested lease not found")
        before = len(self._history)
        result = self._apply(plan, self.revision + 1)
        if len(self._history) > before:
            self.revision += 1
        return _stamp(result, self.revision)

    def grant(self, lease_id: int, ttl: int) -> StoredLease:
        """``lease_id`` 0: one is drawn."""
        if ttl > LONGEST_TTL:
            raise InvalidConfiguration("etcdserver: too large lease TTL")
        if lease_id in self.leases:
            raise LeaseExists("etcdserver: lease already exists")
        if not lease_id:
            self._last_id += 1
            lease_id = self._last_id
        self.leases[lease_id] = lease = StoredLease(lease_id, ttl)
        return lease

    def revoke(self, lease_id: int) -> None:
        """Delete all that hangs on the lease, in one revision, and the lease."""
        lease = self.leases.get(lease_id)
        if lease is None:
            raise LeaseNotFound("etcdserver: requested lease not found")
        keys = sorted(lease.keys)
        for key in keys:
            self._delete(key, self.revision + 1)
        self.revision += bool(keys)
        del self.leases[lease_id]

    def compact(self, revision: int) -> None:
        """Tell no more of what was before that revision."""
        if not self.compacted < revision <= self.revision:
            raise InvalidConfiguration(f"cannot compact {self.compacted} to {revision} of {self.revision}")
        self.compacted = revision

    def events(self, after: int, up_to: int) -> list[KeyEvent]:
        """What happened after a revision and up to another, for a member that applies it."""
        first = bisect_right(self._history, after, key=_revision_of)
        return self._history[first : bisect_right(self._history, up_to, key=_revision_of)]

    def replay(self, key: bytes, after: int, up_to: int) -> list[KeyEvent]:
        """The same of one key, for a watch; a deletion at the very revision of the compaction is forgotten."""
        return [
            event
            for event in self.events(max(after, self.compacted - 1), up_to)
            if event.kv.key == key and not (event.deleted and event.kv.mod_revision == self.compacted)
        ]

    # ------------------------------------------------------------------ reading

    def _keys(self, key: bytes, range_end: bytes) -> Iterable[bytes]:
        if not range_end:
            return (key,) if key in self._kvs else ()
        return sorted(each for each in self._kvs if each >= key and (range_end == b"\0" or each < range_end))

    def _holds(self, compare: Compare) -> bool:
        found = self.get(compare.key, compare.range_end).kvs
        if not found:
            return compare.target is not Target.VALUE and _compares(compare, NOTHING)
        return all(_compares(compare, kv) for kv in found)

    def _choose(self, txn: Txn) -> _Plan:
        """etcd judges every compare, nested ones too, before it applies anything."""
        succeeded = all(self._holds(compare) for compare in txn.compares)
        branch = txn.success if succeeded else txn.failure
        return _Plan(succeeded, tuple(self._choose(each) if isinstance(each, Txn) else each for each in branch))

    # ------------------------------------------------------------------ writing

    def _apply(self, plan: _Plan, revision: int) -> TxnResult:
        results: list[PutResult | GetResult | DeleteResult | TxnResult] = []
        for operation in plan.operations:
            match operation:
                case Put(_, _, _, prev_kv):
                    previous = self._put(operation, revision)
                    results.append(PutResult(previous if prev_kv else None))
                case Get(key, range_end):
                    results.append(self.get(key, range_end))
                case Delete(key, range_end, prev_kv):
                    gone = tuple(self._delete(each, revision) for each in list(self._keys(key, range_end)))
                    results.append(DeleteResult(len(gone), gone if prev_kv else ()))
                case _Plan():
                    results.append(self._apply(operation, revision))
        return TxnResult(plan.succeeded, tuple(results), 0)

    def _put(self, put: Put, revision: int) -> KeyValue | None:
        previous = self._kvs.get(put.key)
        created, version = (previous.create_revision, previous.version) if previous else (revision, 0)
        kv = KeyValue(put.key, put.value, created, revision, version + 1, put.lease_id)
        self._detach(previous)
        if put.lease_id:
            self.leases[put.lease_id].keys.add(put.key)
        self._kvs[put.key] = kv
        self._history.append(KeyEvent(False, kv))
        return previous

    def _delete(self, key: bytes, revision: int) -> KeyValue:
        previous = self._kvs.pop(key)
        self._detach(previous)
        self._history.append(KeyEvent(True, KeyValue(key, b"", 0, revision, 0, 0)))
        return previous

    def _detach(self, kv: KeyValue | None) -> None:
        if kv is not None and kv.lease_id:
            self.leases[kv.lease_id].keys.discard(kv.key)


def _revision_of(event: KeyEvent) -> int:
    return event.kv.mod_revision


def _compares(compare: Compare, kv: KeyValue) -> bool:
    return bool(_RELATIONS[compare.relation](_TARGETS[compare.target](kv), compare.operand))


def _puts(plan: _Plan) -> Iterator[Put]:
    for operation in plan.operations:
        if isinstance(operation, _Plan):
            yield from _puts(operation)
        elif isinstance(operation, Put):
            yield operation


def _stamp(result: TxnResult, revision: int) -> TxnResult:
    """The revision after the transaction, in nested answers too."""
    responses = tuple(_stamp(each, revision) if isinstance(each, TxnResult) else each for each in result.responses)
    return replace(result, responses=responses, revision=revision)


def _check(txn: Txn) -> None:
    """What etcd refuses whichever branch it would take."""
    for branch in (txn.success, txn.failure):
        if max(len(branch), len(txn.compares)) > MOST_OPERATIONS:
            raise InvalidConfiguration("etcdserver: too many operations in txn request")
        if any(not each.key for each in (*txn.compares, *branch) if not isinstance(each, Txn)):
            raise InvalidConfiguration("etcdserver: key is not provided")
        _check_duplicates(branch)
        for each in branch:
            if isinstance(each, Txn):
                _check(each)


def _check_duplicates(branch: tuple[Operation, ...]) -> tuple[set[bytes], list[Delete]]:
    """No key may be written twice, by etcd's rules; returns what is written.

    Of a nested transaction one branch only comes about; what it deletes counts for what is written after and around it.
    """
    put: set[bytes] = set()
    deleted = [each for each in branch if isinstance(each, Delete)]

    def check(keys: set[bytes]) -> None:
        if keys & put or any(_covers(each, key) for each in deleted for key in keys):
            raise InvalidConfiguration("etcdserver: duplicate key given in txn request")

    for each in branch:
        if isinstance(each, Txn):
            success, success_deleted = _check_duplicates(each.success)
            failure, failure_deleted = _check_duplicates(each.failure)
            check(success | failure)
            put |= success | failure
            deleted += success_deleted + failure_deleted
    for each in branch:
        if isinstance(each, Put):
            check({each.key})
            put.add(each.key)
    return put, deleted


def _covers(delete: Delete, key: bytes) -> bool:
    if not delete.range_end:
        return key == delete.key
    return key >= delete.key and (delete.range_end == b"\0" or key < delete.range_end)
