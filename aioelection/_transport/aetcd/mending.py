"""The one place where gRPC is awaited, since grpc.aio loses what a cancellation needs to say.

A call that is cancelled while it is awaited raises a *bare* ``CancelledError``: the mark by which an anyio scope knows
its own cancellation is gone, and the error escapes the scope (measured on grpcio 1.85.1 and anyio 4.16). A call whose
channel is closed raises the same error although nobody cancelled the task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from anyio.lowlevel import checkpoint_if_cancelled

T = TypeVar("T")


class ChannelClosed(Exception):
    """The call ended since its channel was closed under it."""


async def mended(call: Awaitable[T]) -> T:
    """Await a gRPC call so that a cancellation reaches the scope, the timeout or the task that asked for it."""
    task = asyncio.current_task()
    cancelling = task.cancelling() if task else 0
    try:
        return await call
    except asyncio.CancelledError:
        await checkpoint_if_cancelled()  # raises again, with the mark, for an anyio scope
        if task is None or task.cancelling() > cancelling:
            raise
        raise ChannelClosed from None
