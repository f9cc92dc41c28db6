"""The port's ``Transport`` over aetcd."""

from __future__ import annotations

from collections.abc import Sequence

import aetcd

from aioelection._core.endpoints import Endpoint
from aioelection._core.ops import Compare, Operation
from aioelection._transport.aetcd.channels import AdoptedChannel, OwnChannel
from aioelection._transport.aetcd.connection import AetcdConnection
from aioelection._transport.aetcd.operations import to_compares, to_operations
from aioelection._transport.aetcd.tokens import TokenSource
from aioelection.errors import InvalidConfiguration
from aioelection.tls import TLS


class AetcdWords:
    """Users write their compares and operations with aetcd's classes, whatever the connection."""

    def compares(self, values: Sequence[object]) -> tuple[Compare, ...]:
        return to_compares(values)

    def operations(self, values: Sequence[object]) -> tuple[Operation, ...]:
        return to_operations(values)


class AetcdTransport(AetcdWords):
    """Opens a channel of our own for each endpoint."""

    def __init__(self, tls: TLS | None = None, username: str | None = None, password: str | None = None) -> None:
        self._tls = tls
        self._user = None if username is None or password is None else (username, password)

    def open(self, endpoint: Endpoint) -> AetcdConnection:
        token = None if self._user is None else TokenSource(*self._user)
        return AetcdConnection(endpoint, OwnChannel(endpoint, self._tls, token))


class AdoptedTransport(AetcdWords):
    """Uses the channel of an ``aetcd.Client`` that the caller owns: one endpoint, its TLS and its token."""

    def __init__(self, client: aetcd.Client) -> None:
        if not isinstance(client, aetcd.Client):
            hint = "; write async with connect(...) as client" if hasattr(client, "__aenter__") else ""
            raise InvalidConfiguration(f"client must be an aioelection.Client or an aetcd.Client, not {client!r}{hint}")
        self._client = client
        self.endpoint = Endpoint(client._host, client._port)

    def open(self, endpoint: Endpoint) -> AetcdConnection:
        return AetcdConnection(endpoint, AdoptedChannel(self._client))
