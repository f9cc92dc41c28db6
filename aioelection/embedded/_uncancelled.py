"""Clean-up that runs to its end whatever is cancelled around it, and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

_T = TypeVar("_T")


async def uncancelled(work: Coroutine[None, None, _T]) -> _T:
    """Await `work` in a task of its own; a cancellation is raised once that has ended."""
    task = asyncio.create_task(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = cancellation or error
    if cancellation is not None:
        if not task.cancelled():
            task.exception()  # retrieved; the cancellation goes first
        raise cancellation
    return task.result()
