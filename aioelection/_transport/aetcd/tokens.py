"""The token that etcd's authentication gives: fetched when needed, and again when refused or about to run out."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable

Metadata = tuple[tuple[str, str], ...]
Authenticate = Callable[[str, str, float], Awaitable[str | None]]

USED_UP = 0.8
"""The part of a token's life after which another is fetched, where the token tells its life (JWT)."""


class TokenSource:
    """The token of one user on one connection; many calls that need one at once fetch it once."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._metadata: Metadata | None = None
        self._renew_at = float("inf")
        self._fetching = asyncio.Lock()

    async def get(self, authenticate: Authenticate, timeout: float) -> Metadata:
        """The metadata to call with; raises what ``authenticate`` raises."""
        deadline = time.monotonic() + timeout
        async with self._fetching:
            if self._metadata is None or time.monotonic() >= self._renew_at:
                asked = time.monotonic()
                token = await authenticate(self._username, self._password, max(0.001, deadline - asked))
                self._metadata = () if token is None else (("token", token),)
                self._renew_at = asked + USED_UP * lifetime(token or "")
            return self._metadata

    def refused(self, metadata: Metadata) -> bool:
        """etcd refused these: whether others can be had."""
        if self._metadata == metadata:  # else another call has seen to it already
            self._metadata = None
        return True

    def __repr__(self) -> str:
        return f"<TokenSource of {self._username!r}>"


def lifetime(token: str) -> float:
    """Seconds for which a JWT says it is good, by its issuer's clock alone; infinity for any other token."""
    try:
        claims = token.split(".")[1]
        told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return float(told["exp"]) - float(told["iat"])
    except (ValueError, KeyError, IndexError, TypeError):
        return float("inf")
