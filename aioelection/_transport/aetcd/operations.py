"""aetcd's public compares and operations, which users write, as our own frozen ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aetcd import rpc, transactions

from aioelection._core import checks
from aioelection._core.ops import Compare, Delete, Get, Operation, Put, Relation, Target, Txn
from aioelection.errors import InvalidConfiguration

_TARGETS = {
    transactions.Value: Target.VALUE,
    transactions.Version: Target.VERSION,
    transactions.Create: Target.CREATE,
    transactions.Mod: Target.MOD,
}
_RELATIONS = {
    rpc.Compare.EQUAL: Relation.EQUAL,
    rpc.Compare.NOT_EQUAL: Relation.NOT_EQUAL,
    rpc.Compare.LESS: Relation.LESS,
    rpc.Compare.GREATER: Relation.GREATER,
}


def to_compares(values: Sequence[object]) -> tuple[Compare, ...]:
    return tuple(_compare(value) for value in values)


def to_operations(values: Sequence[object]) -> tuple[Operation, ...]:
    return tuple(_operation(value) for value in values)


def _compare(value: Any) -> Compare:
    if isinstance(value, Compare):
        return value
    target = _TARGETS.get(type(value))
    if target is None:
        raise InvalidConfiguration(f"{value!r} is no compare; write, for example, aetcd.transactions.Create(key) == 0")
    if value.op is None:
        raise InvalidConfiguration(f"the compare of {value.key!r} has no relation; write == != < or > and a value")
    operand = value.value
    if target is Target.VALUE:
        operand = _bytes(operand, "a compared value")
    elif isinstance(operand, bool) or not isinstance(operand, int):
        raise InvalidConfiguration(f"a {target.value} is compared with a whole number, not {operand!r}")
    return Compare(
        checks.key(value.key, "a compared key"),
        target,
        _RELATIONS[value.op],
        operand,
        _end(value.range_end),
    )


def _operation(value: Any) -> Operation:
    match value:
        case Put() | Get() | Delete() | Txn():
            return value
        case transactions.Put():
            return Put(
                checks.key(value.key, "a key to put"),
                _bytes(value.value, "a value to put"),
                _lease_id(value.lease),
                bool(value.prev_kv),
            )
        case transactions.Get():
            return Get(checks.key(value.key, "a key to get"), _end(value.range_end))
        case transactions.Delete():
            return Delete(checks.key(value.key, "a key to delete"), _end(value.range_end), bool(value.prev_kv))
        case transactions.Txn():
            return Txn(
                to_compares(value.compare),
                to_operations(value.success or ()),
                to_operations(value.failure or ()),
            )
    raise InvalidConfiguration(f"{value!r} is no operation; write, for example, aetcd.transactions.Put(key, value)")


def _bytes(value: object, name: str) -> bytes:
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise InvalidConfiguration(f"{name} must be str or bytes, not {value!r}")
    return value


def _end(value: object) -> bytes:
    return b"" if value is None else _bytes(value, "a range end")


def _lease_id(value: object) -> int:
    lease_id = 0 if value is None else getattr(value, "id", value)
    if isinstance(lease_id, bool) or not isinstance(lease_id, int):
        raise InvalidConfiguration(f"a lease must be a lease or its id, not {value!r}")
    return lease_id
