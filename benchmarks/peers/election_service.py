"""etcd's server-side election, ``v3electionpb.Election``: the server waits and wins for the caller.

No wheel brings its messages: those that are needed are made here.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.figure import Place
from benchmarks.peers.bare import Bare

_FIELD = descriptor_pb2.FieldDescriptorProto
_BYTES, _INT64, _MESSAGE = _FIELD.TYPE_BYTES, _FIELD.TYPE_INT64, _FIELD.TYPE_MESSAGE

_MESSAGES: dict[str, dict[str, tuple[int, int]]] = {
    "LeaderKey": {"name": (1, _BYTES), "key": (2, _BYTES), "rev": (3, _INT64), "lease": (4, _INT64)},
    "CampaignRequest": {"name": (1, _BYTES), "lease": (2, _INT64), "value": (3, _BYTES)},
    "CampaignResponse": {"leader": (2, _MESSAGE)},
    "ResignRequest": {"leader": (1, _MESSAGE)},
    "ResignResponse": {},
}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="benchmarks/v3election.proto", package="benchmarks.v3election", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            message.field.add(
                name=field,
                number=number,
                type=_FIELD.Type.ValueType(kind),
                label=_FIELD.LABEL_OPTIONAL,
                type_name=".benchmarks.v3election.LeaderKey" if kind == _MESSAGE else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"benchmarks.v3election.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(each) for name, each in found.items()}


_CLASSES = _messages()


def method(channel: Any, name: str) -> Any:
    """A callable for a method of the service."""
    return channel.unary_unary(
        f"/v3electionpb.Election/{name}",
        request_serializer=_CLASSES[f"{name}Request"].SerializeToString,
        response_deserializer=_CLASSES[f"{name}Response"].FromString,
    )


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> ElectionService:
    return ElectionService(await Bare.open(stack, place.endpoint), key.encode())


class ElectionService:
    def __init__(self, bare: Bare, key: bytes) -> None:
        self._bare = bare
        self._key = key
        self._campaign = method(bare.channel, "Campaign")
        self._resign = method(bare.channel, "Resign")
        self._lease = 0
        self._leader: Any = None

    async def stand(self) -> float:
        self._lease = await self._bare.grant()
        request = _CLASSES["CampaignRequest"](name=self._key, lease=self._lease, value=b"benchmark")
        self._leader = (await self._campaign(request)).leader
        return time.monotonic()

    async def resign(self) -> float:
        began = time.monotonic()
        await self._resign(_CLASSES["ResignRequest"](leader=self._leader))
        await self._bare.revoke(self._lease)
        return began
