"""Between our frozen records and the protobuf messages of etcd's API."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aetcd import rpc

from aioelection._core.cursors import WatchReply
from aioelection._core.endpoints import Endpoint, parse_endpoints
from aioelection._core.ops import (
    Compare,
    Delete,
    DeleteResult,
    Get,
    GetResult,
    Header,
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
from aioelection._transport.aetcd.errors import refusal
from aioelection.errors import InvalidConfiguration

_TARGETS = {
    Target.VALUE: (rpc.Compare.VALUE, "value"),
    Target.VERSION: (rpc.Compare.VERSION, "version"),
    Target.CREATE: (rpc.Compare.CREATE, "create_revision"),
    Target.MOD: (rpc.Compare.MOD, "mod_revision"),
    Target.LEASE: (rpc.Compare.LEASE, "lease"),
}
_RELATIONS = {
    Relation.EQUAL: rpc.Compare.EQUAL,
    Relation.NOT_EQUAL: rpc.Compare.NOT_EQUAL,
    Relation.LESS: rpc.Compare.LESS,
    Relation.GREATER: rpc.Compare.GREATER,
}


def txn_request(txn: Txn) -> Any:
    return rpc.TxnRequest(
        compare=[_compare(each) for each in txn.compares],
        success=[_operation(each) for each in txn.success],
        failure=[_operation(each) for each in txn.failure],
    )


def _compare(compare: Compare) -> Any:
    target, field = _TARGETS[compare.target]
    return rpc.Compare(
        key=compare.key,
        range_end=compare.range_end,
        target=target,
        result=_RELATIONS[compare.relation],
        **{field: compare.operand},
    )


def _operation(operation: Operation) -> Any:
    match operation:
        case Put(key, value, lease_id, prev_kv):
            return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease_id, prev_kv=prev_kv))
        case Get(key, range_end):
            return rpc.RequestOp(request_range=rpc.RangeRequest(key=key, range_end=range_end))
        case Delete(key, range_end, prev_kv):
            return rpc.RequestOp(
                request_delete_range=rpc.DeleteRangeRequest(key=key, range_end=range_end, prev_kv=prev_kv)
            )
        case Txn():
            return rpc.RequestOp(request_txn=txn_request(operation))


def header(message: Any) -> Header:
    return Header(message.cluster_id, message.member_id, message.revision, message.raft_term)


def key_value(kv: Any) -> KeyValue:
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def get_result(response: Any) -> GetResult:
    return GetResult(tuple(key_value(kv) for kv in response.kvs))


def txn_result(response: Any, revision: int) -> TxnResult:
    """``revision`` is that of the outermost header: a nested answer carries none of its own."""
    return TxnResult(
        response.succeeded,
        tuple(_operation_result(each, revision) for each in response.responses),
        revision,
    )


def _operation_result(response: Any, revision: int) -> PutResult | GetResult | DeleteResult | TxnResult:
    kind = response.WhichOneof("response")
    if kind == "response_put":
        put = response.response_put
        return PutResult(key_value(put.prev_kv) if put.HasField("prev_kv") else None)
    if kind == "response_range":
        return get_result(response.response_range)
    if kind == "response_delete_range":
        deleted = response.response_delete_range
        return DeleteResult(deleted.deleted, tuple(key_value(kv) for kv in deleted.prev_kvs))
    return txn_result(response.response_txn, revision)


def watch_reply(response: Any) -> WatchReply:
    return WatchReply(
        watch_id=response.watch_id,
        revision=response.header.revision,
        created=response.created,
        canceled=response.canceled,
        compact_revision=response.compact_revision,
        refusal=refusal(response.cancel_reason) if response.canceled and not response.compact_revision else None,
        events=tuple(KeyEvent(event.type == rpc.Event.DELETE, key_value(event.kv)) for event in response.events),
    )


def member_endpoints(response: Any) -> tuple[Endpoint, ...]:
    """Members that never started tell no addresses; an address that we cannot use is passed over."""
    found: dict[Endpoint, None] = {}
    for member in response.members:
        if member.isLearner:
            continue
        for url in member.clientURLs:
            with suppress(InvalidConfiguration):
                found.update(dict.fromkeys(parse_endpoints(url)))
    return tuple(found)
