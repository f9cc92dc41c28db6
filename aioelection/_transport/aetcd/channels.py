"""Where a connection's gRPC channel and the metadata of its calls come from."""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any, Protocol

import aetcd
import grpc
from aetcd import rpc

from aioelection._core.endpoints import Endpoint
from aioelection._transport.aetcd.errors import translate
from aioelection._transport.aetcd.mending import ChannelClosed, mended
from aioelection._transport.aetcd.tokens import Metadata, TokenSource
from aioelection.errors import ElectionError, InvalidConfiguration, Unauthenticated, Unavailable
from aioelection.tls import TLS

log = logging.getLogger("aioelection")

_OPTIONS = (
    # Without it two channels to one address share a connection, and a stalled one cannot be left behind.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC's own back-off grows to two minutes: a candidate has to be back at once after an outage.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
)

LAST_WORDS = 0.01
"""Seconds for gRPC to tell how what was under way on a closed channel has ended.

What it tells to an event loop that is closed by then raises "Event loop is closed" in the next one of the process:
after 6 to 18 of 100 closings without this (measured on grpcio 1.85).
"""

_channels: weakref.WeakSet[Any] = weakref.WeakSet()


def open_channels() -> set[Any]:
    """The channels that were opened here and not closed, for tests."""
    return set(_channels)


class Stubs:
    """aetcd's stubs on one channel, made once: each makes a callable for every method of its service."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.kv = rpc.KVStub(channel)
        self.lease = rpc.LeaseStub(channel)
        self.watch = rpc.WatchStub(channel)
        self.cluster = rpc.ClusterStub(channel)
        self.maintenance = rpc.MaintenanceStub(channel)
        self.auth = rpc.AuthStub(channel)


class Channels(Protocol):
    """A source of stubs and metadata, ready to be called with."""

    async def ready(self, timeout: float) -> tuple[Stubs, Metadata]: ...

    def failed(self, metadata: Metadata, error: ElectionError) -> bool:
        """A call with these metadata failed: whether ``ready`` will give better ones."""

    async def aclose(self) -> None: ...


class OwnChannel:
    """A channel of our own, with its certificates and its token kept fresh."""

    def __init__(self, endpoint: Endpoint, tls: TLS | None, token: TokenSource | None) -> None:
        self._endpoint = endpoint
        self._where = str(endpoint)
        self._tls = (tls or TLS()) if endpoint.secure else None
        self._credentials = self._tls.read() if self._tls else None
        self._stubs = self._open()
        self._token = token
        self._broken = False
        """Something failed on the channel: before it is used again, the certificates may have to be others."""

    async def ready(self, timeout: float) -> tuple[Stubs, Metadata]:
        if self._broken and self._tls is not None:
            await self._renew_certificates(self._tls)
        self._broken = False
        return self._stubs, () if self._token is None else await self._token.get(self._authenticate, timeout)

    def failed(self, metadata: Metadata, error: ElectionError) -> bool:
        if isinstance(error, Unauthenticated):
            return self._token is not None and self._token.refused(metadata)
        self._broken = True
        return False

    async def aclose(self) -> None:
        await self._close(self._stubs)

    def _open(self) -> Stubs:
        options: tuple[tuple[str, Any], ...] = (*_OPTIONS, ("grpc.default_authority", self._endpoint.authority))
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(self._endpoint.target, options)
        else:
            tls = self._credentials
            name = tls.server_name or (self._endpoint.host if self._endpoint.address else None)
            if name:
                options = (*options, ("grpc.ssl_target_name_override", name))
            security = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)
            channel = grpc.aio.secure_channel(self._endpoint.target, security, options)
        _channels.add(channel)
        return Stubs(channel)

    async def _renew_certificates(self, tls: TLS) -> None:
        """gRPC keeps the certificates that a channel was made with: others need another channel."""
        try:
            fresh = tls.read()
        except InvalidConfiguration as error:  # half written, perhaps: the old ones may still do
            log.warning("%s: %s", self._where, error)
            return
        if fresh != self._credentials:
            log.info("%s: the certificates have changed", self._where)
            old, self._credentials = self._stubs, fresh
            self._stubs = self._open()
            await self._close(old)

    async def _close(self, stubs: Stubs) -> None:
        await stubs.channel.close(None)
        _channels.discard(stubs.channel)
        await asyncio.sleep(LAST_WORDS)

    async def _authenticate(self, username: str, password: str, timeout: float) -> str | None:
        """A token; ``None`` where the cluster has authentication turned off."""
        request = rpc.AuthenticateRequest(name=username, password=password)
        try:
            return str((await mended(self._stubs.auth.Authenticate, request, timeout=timeout)).token)
        except grpc.aio.AioRpcError as error:
            if "authentication is not enabled" in (error.details() or ""):
                return None
            raise translate(error, self._where, writes=False) from None
        except (ChannelClosed, grpc.aio.UsageError):
            raise Unavailable(f"{self._where}: the connection is closed") from None


class AdoptedChannel:
    """The channel and the metadata of an ``aetcd.Client`` that the caller owns; it is never closed here."""

    def __init__(self, client: aetcd.Client) -> None:
        self._client = client
        self._stubs: Stubs | None = None

    async def ready(self, timeout: float) -> tuple[Stubs, Metadata]:
        try:
            await mended(self._client.connect)
        except (aetcd.ClientError, ChannelClosed, TimeoutError) as error:
            raise Unavailable(f"the aetcd client cannot connect: {error}") from error
        channel = self._client.channel
        if self._stubs is None or self._stubs.channel is not channel:
            self._stubs = Stubs(channel)
        return self._stubs, tuple(self._client.metadata or ())

    def failed(self, metadata: Metadata, error: ElectionError) -> bool:
        return False

    async def aclose(self) -> None:
        """The channel is the caller's."""
