"""The two streams of etcd's API: renewals and watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aetcd import rpc

from aioelection._core.cursors import WatchReply
from aioelection._transport.aetcd import messages
from aioelection._transport.aetcd.errors import translate
from aioelection._transport.aetcd.mending import ChannelClosed, mended
from aioelection._transport.port import KeepAliveReply
from aioelection.errors import ElectionError, Unauthenticated, Unavailable


class _Stream:
    """A bidirectional call, with its ends in our words: whatever breaks it is ``Unavailable``, or a refusal.

    ``failed`` is told what it was: a token may have to be renewed before another stream can do better.
    """

    def __init__(self, call: Any, where: str, failed: Callable[[ElectionError], object]) -> None:
        self._call = call
        self._where = where
        self._failed = failed

    async def _write(self, request: Any) -> None:
        await self._guarded(self._call.write, request)

    async def _read(self) -> Any:
        response = await self._guarded(self._call.read)
        if response is grpc.aio.EOF:
            raise Unavailable(f"{self._where}: the stream was ended by etcd")
        return response

    async def _guarded(self, exchange: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        try:
            return await mended(exchange, *args)
        except grpc.aio.AioRpcError as error:
            ours = translate(error, self._where, writes=False)
            self._failed(ours)
            raise ours from None
        except (ChannelClosed, grpc.aio.UsageError, asyncio.InvalidStateError):
            raise Unavailable(f"{self._where}: the stream is closed") from None

    def close(self) -> None:
        self._call.cancel()


class AetcdKeepAliveStream(_Stream):
    async def send(self, lease_id: int) -> None:
        await self._write(rpc.LeaseKeepAliveRequest(ID=lease_id))

    async def receive(self) -> KeepAliveReply:
        response = await self._read()
        return KeepAliveReply(messages.header(response.header), response.ID, response.TTL)


class AetcdWatchStream(_Stream):
    async def create(self, key: bytes, start_revision: int) -> None:
        creation = rpc.WatchCreateRequest(key=key, start_revision=start_revision)
        await self._write(rpc.WatchRequest(create_request=creation))

    async def cancel(self, watch_id: int) -> None:
        await self._write(rpc.WatchRequest(cancel_request=rpc.WatchCancelRequest(watch_id=watch_id)))

    async def receive(self) -> WatchReply:
        reply = messages.watch_reply(await self._read())
        if isinstance(reply.refusal, Unauthenticated):
            self._failed(reply.refusal)
        return reply
