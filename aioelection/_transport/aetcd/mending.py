"""The one place where gRPC is awaited, since grpc.aio loses what a cancellation needs to say.

A call that is cancelled while it is awaited raises a *bare* ``CancelledError``: the mark by which an anyio scope knows
its own cancellation is gone, and the error escapes the scope (measured on grpcio 1.85.1 and anyio 4.16). A call whose
channel is closed raises the same error although nobody cancelled the task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from anyio.lowlevel import checkpoint_if_cancelled

P = ParamSpec("P")
T = TypeVar("T")


class ChannelClosed(Exception):
    """The call ended since its channel was closed under it."""


async def mended(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a gRPC call and await it so that a cancellation reaches the scope, timeout or task that asked for it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)  # one that is due already is raised here; later it would pass for the channel's
    cancelling = task.cancelling() if task else 0
    try:
        return await call(*args, **kwargs)
    except asyncio.CancelledError:
        await checkpoint_if_cancelled()  # raises again, with the mark, for an anyio scope
        if task is None or task.cancelling() > cancelling:
            raise
        raise ChannelClosed from None
