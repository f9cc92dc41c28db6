"""Bare gRPC stubs: etcd's exchanges with nothing around them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import grpc
from aetcd import rpc

TTL = 60


class Bare:
    """The stubs on one channel."""

    def __init__(self, endpoint: str) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self.channel = grpc.aio.insecure_channel(urlsplit(endpoint).netloc, options)
        self.kv = rpc.KVStub(self.channel)
        self.lease = rpc.LeaseStub(self.channel)
        self.watch = rpc.WatchStub(self.channel)

    @classmethod
    async def open(cls, stack: AsyncExitStack, endpoint: str) -> Bare:
        bare = cls(endpoint)
        stack.push_async_callback(bare.channel.close, None)
        await bare.channel.channel_ready()
        return bare

    async def grant(self, ttl: int = TTL) -> int:
        return int((await self.lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=ttl))).ID)

    async def revoke(self, lease: int) -> None:
        await self.lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=lease))

    async def create(self, key: bytes, value: bytes, lease: int) -> Any:
        """The transaction that wins: it creates the key where there is none, or else reads it."""
        return await self.kv.Txn(
            rpc.TxnRequest(
                compare=[rpc.Compare(key=key, target=rpc.Compare.CREATE, result=rpc.Compare.EQUAL, create_revision=0)],
                success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))],
                failure=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key))],
            )
        )

    async def delete(self, key: bytes) -> None:
        await self.kv.DeleteRange(rpc.DeleteRangeRequest(key=key))

    async def watch_from(self, call: Any, key: bytes, revision: int) -> None:
        """Create a watch on that stream."""
        creation = rpc.WatchCreateRequest(key=key, start_revision=revision)
        await call.write(rpc.WatchRequest(create_request=creation))

    async def deleted(self, key: bytes, revision: int) -> None:
        """Wait until the key is deleted, counting from that revision."""
        call = self.watch.Watch()
        try:
            await self.watch_from(call, key, revision)
            while True:
                response = await call.read()
                if any(event.type == rpc.Event.DELETE for event in response.events):
                    return
        finally:
            call.cancel()
