"""Where a connection's gRPC channel and the metadata of its calls come from."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import aetcd
import grpc
from aetcd import rpc

from aioelection._core.endpoints import Endpoint
from aioelection._transport.aetcd.errors import translate
from aioelection._transport.aetcd.mending import ChannelClosed, mended
from aioelection.errors import ElectionError, Unavailable
from aioelection.tls import TLS

Metadata = tuple[tuple[str, str], ...]

_OPTIONS = (
    # Without it two channels to one address share a connection, and a stalled one cannot be left behind.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC's own back-off grows to two minutes: a candidate has to be back at once after an outage.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
)

_open: weakref.WeakSet[Any] = weakref.WeakSet()


def open_channels() -> set[Any]:
    """The channels that were opened here and not closed, for tests."""
    return set(_open)


class Stubs:
    """aetcd's stubs on one channel, made once: each makes a callable for every method of its service."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.kv = rpc.KVStub(channel)
        self.lease = rpc.LeaseStub(channel)
        self.watch = rpc.WatchStub(channel)
        self.maintenance = rpc.MaintenanceStub(channel)
        self.auth = rpc.AuthStub(channel)


class Channels(Protocol):
    """A source of stubs and metadata, ready to be called with."""

    async def ready(self, timeout: float) -> tuple[Stubs, Metadata]: ...

    def token_refused(self, metadata: Metadata) -> bool:
        """The metadata were refused: whether ``ready`` will give others."""

    async def aclose(self) -> None: ...


class OwnChannel:
    """A channel of our own, and a token where a user name is given."""

    def __init__(self, endpoint: Endpoint, tls: TLS | None, username: str | None, password: str | None) -> None:
        if endpoint.secure:
            credentials = (tls or TLS()).read()
            self._channel = grpc.aio.secure_channel(
                endpoint.authority,
                grpc.ssl_channel_credentials(credentials.ca, credentials.key, credentials.cert),
                (*_OPTIONS, *credentials.options),
            )
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.authority, _OPTIONS)
        _open.add(self._channel)
        self._stubs = Stubs(self._channel)
        self._where = str(endpoint)
        self._username = username
        self._password = password
        self._metadata: Metadata | None = () if username is None else None

    async def ready(self, timeout: float) -> tuple[Stubs, Metadata]:
        if self._metadata is None:
            self._metadata = await self._authenticate(timeout)
        return self._stubs, self._metadata

    def token_refused(self, metadata: Metadata) -> bool:
        if self._username is None:
            return False
        if self._metadata == metadata:  # else another call has renewed it already
            self._metadata = None
        return True

    async def _authenticate(self, timeout: float) -> Metadata:
        request = rpc.AuthenticateRequest(name=self._username, password=self._password)
        try:
            response = await mended(self._stubs.auth.Authenticate, request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if "authentication is not enabled" in (error.details() or ""):
                return ()
            raise translate(error, self._where, writes=False) from None
        except (ChannelClosed, grpc.aio.UsageError):
            raise Unavailable(f"{self._where}: the connection is closed") from None
        return (("token", response.token),)

    async def aclose(self) -> None:
        await self._channel.close(None)
        _open.discard(self._channel)


class AdoptedChannel:
    """The channel and the metadata of an ``aetcd.Client`` that the caller owns; it is never closed here."""

    def __init__(self, client: aetcd.Client) -> None:
        self._client = client
        self._stubs: Stubs | None = None

    async def ready(self, timeout: float) -> tuple[Stubs, Metadata]:
        try:
            await mended(self._client.connect)
        except (aetcd.ClientError, ChannelClosed, TimeoutError) as error:
            raise _adopted_failure(error) from error
        channel = self._client.channel
        if self._stubs is None or self._stubs.channel is not channel:
            self._stubs = Stubs(channel)
        return self._stubs, tuple(self._client.metadata or ())

    def token_refused(self, metadata: Metadata) -> bool:
        return False

    async def aclose(self) -> None:
        """The channel is the caller's."""


def _adopted_failure(error: Exception) -> ElectionError:
    return Unavailable(f"the aetcd client cannot connect: {error}")
