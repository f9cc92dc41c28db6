"""Host names that lead to several addresses: each may be a member of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aioelection._core.endpoints import Endpoint


async def resolved(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """One endpoint for each address of a name that has several; a name that has one, or none yet, stays a name."""
    found = await asyncio.gather(*(_addresses(each) for each in endpoints))
    return tuple(dict.fromkeys(each for addresses in found for each in addresses))


async def look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    """What the system's resolver knows."""
    return [*await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def _addresses(endpoint: Endpoint) -> list[Endpoint]:
    if _is_address(endpoint.host):
        return [endpoint]
    try:
        told = await look_up(endpoint.host, endpoint.port)
    except (OSError, UnicodeError):  # UnicodeError: no name that IDNA knows
        return [endpoint]  # gRPC tries again, and says what is wrong
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in told))
    if len(addresses) < 2:
        return [endpoint]
    return [replace(endpoint, address=address) for address in addresses]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
