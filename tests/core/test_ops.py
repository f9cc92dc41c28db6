"""Our words for etcd's: they mean what they say, compare by value, and cannot be changed."""

import dataclasses

import pytest

from aioelection._core import ops
from aioelection._core.ops import (
    Compare,
    Delete,
    DeleteResult,
    Get,
    GetResult,
    Header,
    KeyEvent,
    KeyValue,
    Put,
    PutResult,
    Relation,
    Target,
    Txn,
    TxnResult,
    created_at,
    held_by,
    still,
)

FIRST = KeyValue(b"/a", b"1", create_revision=3, mod_revision=4, version=2, lease_id=77)
SECOND = KeyValue(b"/b", b"2", create_revision=5, mod_revision=5, version=1, lease_id=0)

EACH = [
    created_at(b"/a", 3),
    Put(b"/a", b"1", 77, True),
    Get(b"/a", b"/b"),
    Delete(b"/a", b"/b", True),
    Txn((created_at(b"/a", 3),), (Put(b"/a", b"1"),), (Get(b"/a"),)),
    Header(1, 2, 3, 4),
    FIRST,
    PutResult(FIRST),
    GetResult((FIRST, SECOND)),
    DeleteResult(1, (FIRST,)),
    TxnResult(True, (PutResult(),), 9),
    KeyEvent(True, FIRST),
]


def test_every_word_is_tried_here() -> None:
    defined = {c for c in vars(ops).values() if isinstance(c, type) and dataclasses.is_dataclass(c)}
    assert {type(each) for each in EACH} == defined


@pytest.mark.parametrize("each", EACH, ids=lambda each: type(each).__name__)
def test_it_can_be_kept_and_compared(each: Txn) -> None:
    same = dataclasses.replace(each)
    assert same == each
    assert hash(same) == hash(each)
    for field in dataclasses.fields(each):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(each, field.name, None)
        assert dataclasses.replace(each, **{field.name: "another"}) != each, "every field counts"  # type: ignore[arg-type]


def test_created_at_compares_the_create_revision() -> None:
    assert created_at(b"/a", 7) == Compare(b"/a", Target.CREATE, Relation.EQUAL, 7)


def test_a_key_is_still_a_terms_by_its_creation_and_its_lease() -> None:
    assert still(b"/a", 7, 9) == (created_at(b"/a", 7), held_by(b"/a", 9))


def test_held_by_compares_the_lease() -> None:
    assert held_by(b"/a", 7) == Compare(b"/a", Target.LEASE, Relation.EQUAL, 7)


def test_guards_look_at_one_key_only() -> None:
    assert created_at(b"/a", 7).range_end == held_by(b"/a", 7).range_end == b""


def test_a_put_hangs_on_no_lease_unless_told() -> None:
    assert Put(b"/a", b"1").lease_id == 0


def test_no_range_is_meant_unless_told() -> None:
    assert Get(b"/a").range_end == Delete(b"/a").range_end == b""


def test_previous_values_are_asked_for_only_when_told() -> None:
    assert not Put(b"/a", b"1").prev_kv
    assert not Delete(b"/a").prev_kv


def test_a_transaction_does_nothing_unless_told() -> None:
    assert Txn(()).success == Txn(()).failure == ()


def test_a_get_of_one_key_has_one_value_or_none() -> None:
    assert GetResult().kv is None
    assert GetResult((FIRST,)).kv is FIRST
    assert GetResult((FIRST, SECOND)).kv is FIRST


@pytest.mark.parametrize(
    ("compare", "told"),
    [
        (created_at(b"/a", 7), "create(b'/a') == 7"),
        (held_by(b"/a", 7), "lease(b'/a') == 7"),
        (Compare(b"/a", Target.VALUE, Relation.NOT_EQUAL, b"x"), "value(b'/a') != b'x'"),
        (Compare(b"/a", Target.VERSION, Relation.LESS, 2), "version(b'/a') < 2"),
        (Compare(b"/a", Target.MOD, Relation.GREATER, 2), "mod(b'/a') > 2"),
    ],
)
def test_a_compare_reads_like_code(compare: Compare, told: str) -> None:
    assert str(compare) == told
