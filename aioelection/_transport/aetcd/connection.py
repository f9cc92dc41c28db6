"""One connection to one etcd member, over aetcd's stubs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import grpc
from aetcd import rpc

from aioelection._core.endpoints import Endpoint
from aioelection._core.ops import Txn
from aioelection._transport.aetcd import messages
from aioelection._transport.aetcd.channels import Channels, Stubs
from aioelection._transport.aetcd.errors import translate
from aioelection._transport.aetcd.mending import ChannelClosed, mended
from aioelection._transport.aetcd.streams import AetcdKeepAliveStream, AetcdWatchStream
from aioelection._transport.aetcd.tokens import Metadata
from aioelection._transport.port import GetReply, GrantReply, LeaseInfo, MemberList, RevokeReply, Status, TxnReply
from aioelection.errors import ElectionError, OutcomeUnknown, PermissionDenied, Unauthenticated, Unavailable

Method = Callable[[Stubs], Any]

_STATUS: Method = attrgetter("maintenance.Status")
_RANGE: Method = attrgetter("kv.Range")
_TXN: Method = attrgetter("kv.Txn")
_GRANT: Method = attrgetter("lease.LeaseGrant")
_REVOKE: Method = attrgetter("lease.LeaseRevoke")
_TIME_TO_LIVE: Method = attrgetter("lease.LeaseTimeToLive")
_MEMBERS: Method = attrgetter("cluster.MemberList")
_KEEP_ALIVE: Method = attrgetter("lease.LeaseKeepAlive")
_WATCH: Method = attrgetter("watch.Watch")


class AetcdConnection:
    """The port's ``Connection``; where its channel and its metadata come from is the business of ``channels``."""

    def __init__(self, endpoint: Endpoint, channels: Channels) -> None:
        self._endpoint = endpoint
        self._where = str(endpoint)
        self._channels = channels

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    async def status(self, *, timeout: float) -> Status:
        try:
            response = await self._call(_STATUS, rpc.StatusRequest(), timeout)
        except PermissionDenied:  # a newer etcd tells it to root only; but it serves, and knows the user
            return Status(messages.header(rpc.ResponseHeader()), "", leaderless=False)
        return Status(messages.header(response.header), response.version, leaderless=response.leader == 0)

    async def get(self, key: bytes, *, timeout: float) -> GetReply:
        response = await self._call(_RANGE, rpc.RangeRequest(key=key), timeout)
        return GetReply(messages.header(response.header), messages.get_result(response))

    async def txn(self, txn: Txn, *, timeout: float) -> TxnReply:
        response = await self._call(_TXN, messages.txn_request(txn), timeout, writes=True)
        header = messages.header(response.header)
        return TxnReply(header, messages.txn_result(response, header.revision))

    async def grant(self, lease_id: int, ttl: int, *, timeout: float) -> GrantReply:
        request = rpc.LeaseGrantRequest(ID=lease_id, TTL=ttl)
        response = await self._call(_GRANT, request, timeout, writes=True)
        return GrantReply(messages.header(response.header), response.ID, response.TTL)

    async def revoke(self, lease_id: int, *, timeout: float) -> RevokeReply:
        response = await self._call(_REVOKE, rpc.LeaseRevokeRequest(ID=lease_id), timeout, writes=True)
        return RevokeReply(messages.header(response.header))

    async def lease_info(self, lease_id: int, *, timeout: float) -> LeaseInfo:
        request = rpc.LeaseTimeToLiveRequest(ID=lease_id)
        response = await self._call(_TIME_TO_LIVE, request, timeout)
        return LeaseInfo(messages.header(response.header), response.TTL)

    async def members(self, *, timeout: float) -> MemberList:
        response = await self._call(_MEMBERS, rpc.MemberListRequest(), timeout)
        return MemberList(messages.header(response.header), messages.member_endpoints(response))

    async def keep_alive(self, *, timeout: float) -> AetcdKeepAliveStream:
        return AetcdKeepAliveStream(*await self._stream(_KEEP_ALIVE, timeout))

    async def watch(self, *, timeout: float) -> AetcdWatchStream:
        return AetcdWatchStream(*await self._stream(_WATCH, timeout))

    async def aclose(self) -> None:
        await self._channels.aclose()

    async def _call(self, method: Method, request: Any, timeout: float, *, writes: bool = False) -> Any:
        """One exchange within ``timeout`` seconds; a refused token is renewed, and the request sent once more.

        Sending it again is safe: a request whose token is refused is not applied.
        """
        left = _countdown(timeout)
        stubs, metadata = await self._channels.ready(left())
        try:
            return await self._exchange(method(stubs), request, left(), metadata, writes)
        except ElectionError as error:
            if not (self._channels.failed(metadata, error) and isinstance(error, Unauthenticated)):
                raise
        stubs, metadata = await self._channels.ready(left())
        return await self._exchange(method(stubs), request, left(), metadata, writes)

    async def _exchange(self, call: Any, request: Any, timeout: float, metadata: Metadata, writes: bool) -> Any:
        try:
            return await mended(call, request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise translate(error, self._where, writes=writes) from None
        except ChannelClosed:
            unanswered = OutcomeUnknown if writes else Unavailable
            raise unanswered(f"{self._where}: the connection was closed") from None
        except grpc.aio.UsageError:
            raise Unavailable(f"{self._where}: the connection is closed") from None

    async def _stream(self, method: Method, timeout: float) -> tuple[Any, str, Callable[[ElectionError], object]]:
        """Open a stream; a member without a quorum is to end it rather than stay silent (``hasleader``)."""
        stubs, metadata = await self._channels.ready(timeout)
        try:
            call = method(stubs)(metadata=(*metadata, ("hasleader", "true")))
        except grpc.aio.UsageError:
            raise Unavailable(f"{self._where}: the connection is closed") from None
        return call, self._where, partial(self._channels.failed, metadata)


def _countdown(timeout: float) -> Callable[[], float]:
    """Tells how many of the ``timeout`` seconds are left, never 0 (which gRPC takes for no limit at all)."""
    deadline = time.monotonic() + timeout
    return lambda: max(0.001, deadline - time.monotonic())
