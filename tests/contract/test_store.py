"""Keys, revisions, compares and transactions."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aioelection._core.ops import (
    Compare,
    Delete,
    DeleteResult,
    Get,
    GetResult,
    KeyValue,
    Operation,
    Put,
    PutResult,
    Relation,
    Target,
    Txn,
    TxnResult,
    created_at,
)
from aioelection._transport.port import LeaseNotFound
from aioelection.errors import InvalidConfiguration
from aioelection.testing._store import Store
from tests.contract.sides import TIMEOUT, Side


async def get(side: Side, key: bytes) -> KeyValue | None:
    return (await side.connection().get(key, timeout=TIMEOUT)).result.kv


async def holds(side: Side, *compares: Compare) -> bool:
    return (await side.connection().txn(Txn(compares), timeout=TIMEOUT)).result.succeeded


async def test_a_key_has_its_revisions_its_version_and_its_lease(side: Side) -> None:
    assert await get(side, side.key) is None
    lease = await side.grant(60)
    first = await side.put(side.key, b"1", lease)
    assert await get(side, side.key) == KeyValue(side.key, b"1", first, first, 1, lease)
    second = await side.put(side.key, b"2")
    assert second == first + 1
    assert await get(side, side.key) == KeyValue(side.key, b"2", first, second, 2, 0)
    await side.txn(Delete(side.key))
    assert await get(side, side.key) is None
    third = await side.put(side.key, b"3")
    assert await get(side, side.key) == KeyValue(side.key, b"3", third, third, 1, 0)


async def test_a_transaction_has_one_revision_and_what_changes_nothing_has_none(side: Side) -> None:
    reply = await side.txn(Put(side.key + b"a", b""), Put(side.key + b"b", b""), Delete(side.key + b"c"))
    revision = reply.header.revision
    assert reply.result == TxnResult(True, (PutResult(), PutResult(), DeleteResult(0)), revision)
    for kv in ((await get(side, side.key + b"a")), (await get(side, side.key + b"b"))):
        assert kv is not None and kv.mod_revision == revision
    reply = await side.txn(Get(side.key + b"a"), Delete(side.key + b"c"))
    assert reply.result.revision == reply.header.revision == revision


async def test_headers_tell_the_cluster_the_member_and_the_raft_term(side: Side) -> None:
    first = (await side.connection().get(side.key, timeout=TIMEOUT)).header
    await side.put(side.key)
    second = (await side.connection().get(side.key, timeout=TIMEOUT)).header
    assert first.cluster_id and first.member_id and first.raft_term
    assert second == replace(first, revision=first.revision + 1)
    assert (await side.connection().status(timeout=TIMEOUT)).header.member_id == first.member_id
    assert len((await side.connection().members(timeout=TIMEOUT)).endpoints) == 1


async def test_either_branch_is_applied_and_answered(side: Side) -> None:
    txn = Txn((created_at(side.key, 0),), (Put(side.key, b"won"),), (Get(side.key),))
    first = await side.connection().txn(txn, timeout=TIMEOUT)
    revision = first.header.revision
    assert first.result == TxnResult(True, (PutResult(),), revision)
    second = await side.connection().txn(txn, timeout=TIMEOUT)
    kv = KeyValue(side.key, b"won", revision, revision, 1, 0)
    assert second.result == TxnResult(False, (GetResult((kv,)),), revision)


async def test_reads_see_what_their_transaction_has_written(side: Side) -> None:
    reply = await side.txn(Get(side.key), Put(side.key, b"new"), Get(side.key))
    before, _, after = reply.result.responses
    assert before == GetResult()
    assert isinstance(after, GetResult) and after.kv is not None and after.kv.value == b"new"


async def test_nested_transactions_are_judged_before_anything_is_applied(side: Side) -> None:
    inner = Txn((created_at(side.key, 0),), (Put(side.key + b"yes", b""),), (Put(side.key + b"no", b""),))
    reply = await side.txn(Put(side.key, b""), inner)
    revision = reply.header.revision
    assert reply.result.responses == (PutResult(), TxnResult(True, (PutResult(),), revision))


async def test_previous_values_are_told_where_asked_for(side: Side) -> None:
    revision = await side.put(side.key, b"old")
    kv = KeyValue(side.key, b"old", revision, revision, 1, 0)
    reply = await side.txn(Put(side.key, b"new", prev_kv=True), Put(side.key + b"x", b"", prev_kv=True))
    assert reply.result.responses == (PutResult(kv), PutResult())
    reply = await side.txn(Delete(side.key, prev_kv=True), Delete(side.key + b"x"))
    new = KeyValue(side.key, b"new", revision, revision + 1, 2, 0)
    assert reply.result.responses == (DeleteResult(1, (new,)), DeleteResult(1))


async def test_ranges_are_read_and_deleted_in_the_order_of_keys(side: Side) -> None:
    for letter in (b"c", b"a", b"b"):
        await side.put(side.key + letter)
    reply = await side.txn(Get(side.key, side.key + b"c"))
    read = reply.result.responses[0]
    assert isinstance(read, GetResult) and [kv.key[-1:] for kv in read.kvs] == [b"a", b"b"]
    reply = await side.txn(Delete(side.key + b"b", side.key + b"z", prev_kv=True))
    deleted = reply.result.responses[0]
    assert isinstance(deleted, DeleteResult) and deleted.deleted == 2
    assert [kv.key[-1:] for kv in deleted.previous] == [b"b", b"c"]


@pytest.mark.parametrize("target", [Target.VERSION, Target.CREATE, Target.MOD, Target.LEASE])
async def test_on_a_missing_key_numbers_read_as_0(side: Side, target: Target) -> None:
    assert await holds(side, Compare(side.key, target, Relation.EQUAL, 0))
    assert await holds(side, Compare(side.key, target, Relation.LESS, 1))
    assert not await holds(side, Compare(side.key, target, Relation.NOT_EQUAL, 0))
    assert not await holds(side, Compare(side.key, target, Relation.GREATER, 0))


@pytest.mark.parametrize("relation", list(Relation))
async def test_on_a_missing_key_no_compare_of_the_value_holds(side: Side, relation: Relation) -> None:
    assert not await holds(side, Compare(side.key, Target.VALUE, relation, b""))


async def test_every_compare_of_a_key_that_exists(side: Side) -> None:
    lease = await side.grant(60)
    created = await side.put(side.key, b"m", lease)
    modified = await side.put(side.key, b"m", lease)
    facts: list[tuple[Target, int | bytes, int | bytes, int | bytes]] = [
        (Target.VALUE, b"l", b"m", b"n"),
        (Target.VERSION, 1, 2, 3),
        (Target.CREATE, created - 1, created, created + 1),
        (Target.MOD, modified - 1, modified, modified + 1),
        (Target.LEASE, lease - 1, lease, lease + 1),
    ]
    for target, below, equal, above in facts:
        for relation, operand, expected in (
            (Relation.EQUAL, equal, True),
            (Relation.EQUAL, below, False),
            (Relation.NOT_EQUAL, equal, False),
            (Relation.NOT_EQUAL, above, True),
            (Relation.GREATER, below, True),
            (Relation.GREATER, equal, False),
            (Relation.LESS, above, True),
            (Relation.LESS, equal, False),
        ):
            compare = Compare(side.key, target, relation, operand)
            assert await holds(side, compare) is expected, compare


async def test_a_compare_of_a_range_holds_if_it_does_for_each_key(side: Side) -> None:
    compare = Compare(side.key, Target.VERSION, Relation.LESS, 2, side.key + b"z")
    assert await holds(side, compare), "for none"
    await side.put(side.key + b"a")
    await side.put(side.key + b"b")
    assert await holds(side, compare)
    await side.put(side.key + b"b")
    assert not await holds(side, compare)
    missing = Compare(side.key + b"x", Target.VALUE, Relation.NOT_EQUAL, b"", side.key + b"z")
    assert not await holds(side, missing)


@pytest.mark.parametrize(
    "operations",
    [
        (Put(b"k", b""), Put(b"k", b"")),
        (Put(b"k", b""), Delete(b"k")),
        (Delete(b"a", b"z"), Put(b"k", b"")),
        (Put(b"k", b""), Txn((), (Put(b"k", b""),))),
        (Txn((), (Put(b"k", b""),)), Txn((), (), (Put(b"k", b""),))),
        tuple(Get(b"k") for _ in range(129)),
    ],
    ids=["put put", "put delete", "delete put", "put nested", "nested nested", "too many"],
)
async def test_what_etcd_takes_for_malformed_is_not_applied(side: Side, operations: tuple[Operation, ...]) -> None:
    before = (await side.connection().get(side.key, timeout=TIMEOUT)).header.revision
    with pytest.raises(InvalidConfiguration):
        await side.txn(*operations)
    assert (await side.connection().get(side.key, timeout=TIMEOUT)).header.revision == before


async def test_deletes_may_overlap_and_nested_branches_may_write_the_same_key(side: Side) -> None:
    await side.put(side.key)
    either = Txn((created_at(side.key, 0),), (Put(side.key, b"1"),), (Put(side.key, b"2"),))
    reply = await side.txn(Delete(side.key + b"x"), Delete(side.key + b"x"), either)
    assert reply.result.succeeded


async def test_a_put_under_an_unknown_lease_fails_and_nothing_is_applied(side: Side) -> None:
    with pytest.raises(LeaseNotFound):
        await side.txn(Put(side.key + b"a", b""), Put(side.key + b"b", b"", 12345))
    assert await get(side, side.key + b"a") is None
    untaken = Txn((), (), (Put(side.key, b"", 12345),))
    assert (await side.connection().txn(untaken, timeout=TIMEOUT)).result.succeeded


# ---------------------------------------------------------------------- the same sequence on both


def shifted(result: object, by: int) -> object:
    """The result with its revisions moved by so many, 0 staying 0."""

    def moved(revision: int) -> int:
        return revision + by if revision else 0

    match result:
        case KeyValue():
            return replace(
                result, create_revision=moved(result.create_revision), mod_revision=moved(result.mod_revision)
            )
        case GetResult(kvs):
            return [shifted(kv, by) for kv in kvs]
        case DeleteResult(deleted, previous):
            return deleted, [shifted(kv, by) for kv in previous]
        case PutResult(previous):
            return shifted(previous, by)
        case TxnResult(succeeded, responses, revision):
            return succeeded, [shifted(each, by) for each in responses], moved(revision)
    return result


class Generator:
    """Draws transactions on a few keys."""

    def __init__(self, seed: int, prefix: bytes, base: int, leases: list[int]) -> None:
        self._random = random.Random(seed)
        self._prefix = prefix
        self._base = base
        self._leases = leases

    def _key(self) -> bytes:
        return self._prefix + self._random.choice([b"a", b"b", b"c", b"d"])

    def _end(self) -> bytes:
        return self._random.choice([b"", b"", self._prefix + b"c", self._prefix + b"z"])

    def _compare(self, revision: int) -> Compare:
        target = self._random.choice(list(Target))
        operand: int | bytes
        if target is Target.VALUE:
            operand = self._random.choice([b"", b"x", b"y"])
        elif target is Target.LEASE:
            operand = self._random.choice([0, *self._leases])
        elif target is Target.VERSION:
            operand = self._random.randrange(4)
        else:
            operand = self._random.choice(
                [0, revision, revision - self._random.randrange(min(5, revision - self._base))]
            )
        return Compare(self._key(), target, self._random.choice(list(Relation)), operand, self._end())

    def _operation(self, revision: int, depth: int) -> Operation:
        match self._random.randrange(4 if depth else 3):
            case 0:
                lease = self._random.choice([0, *self._leases])
                return Put(self._key(), self._random.choice([b"", b"x", b"y"]), lease, self._random.random() < 0.5)
            case 1:
                return Get(self._key(), self._end())
            case 2:
                return Delete(self._key(), self._end(), self._random.random() < 0.5)
        return self.txn(revision, depth - 1)

    def txn(self, revision: int, depth: int = 2) -> Txn:
        def branch() -> tuple[Operation, ...]:
            return tuple(self._operation(revision, depth) for _ in range(self._random.randrange(3)))

        return Txn(tuple(self._compare(revision) for _ in range(self._random.randrange(2))), branch(), branch())


@pytest.mark.parametrize("seed", range(5))
async def test_random_transactions_are_answered_as_by_the_store(side: Side, seed: int) -> None:
    base = (await side.connection().get(side.key, timeout=TIMEOUT)).header.revision - 1
    leases = [await side.grant(60), await side.grant(60)]
    store, generator = Store(), Generator(seed, side.key, base, leases)
    for lease in leases:
        store.grant(lease, 60)
    refused = 0
    for number in range(200):
        txn = generator.txn(store.revision + base)
        try:
            answer = (await side.connection().txn(txn, timeout=TIMEOUT)).result
        except InvalidConfiguration:
            refused += 1
            with pytest.raises(InvalidConfiguration):
                store.txn(_rebased(txn, -base))
        else:
            assert shifted(answer, -base) == shifted(store.txn(_rebased(txn, -base)), 0), (number, txn)
    assert refused < 150 and store.revision > 20


def _rebased(txn: Txn, by: int) -> Txn:
    """The same with the revisions that it compares moved by so many, 0 staying 0."""

    def compare(each: Compare) -> Compare:
        revisions = each.target in (Target.CREATE, Target.MOD) and isinstance(each.operand, int) and each.operand
        return replace(each, operand=each.operand + by) if revisions else each  # type: ignore[operator]

    def branch(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        return tuple(_rebased(each, by) if isinstance(each, Txn) else each for each in operations)

    return Txn(tuple(compare(each) for each in txn.compares), branch(txn.success), branch(txn.failure))
