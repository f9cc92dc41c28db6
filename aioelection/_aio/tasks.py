"""Running things beside each other, and to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled

T = TypeVar("T")


async def first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until the first one ends; the others are cancelled, and what the first raised is raised as it is."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def finish(coroutine: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """Run to the end even if the caller is cancelled meanwhile, once or many times, by whatever means.

    It runs in a task of its own, out of reach of the caller's scopes. A ``task.cancel()`` is raised here afterwards; a
    cancelled anyio scope speaks for itself at the caller's next checkpoint, or in place of an error of the coroutine's.
    The coroutine has to bound its own time.
    """
    task = asyncio.ensure_future(coroutine)
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # told to nobody: the cancellation goes first
        raise cancelled
    if not task.cancelled() and task.exception() is not None:
        await checkpoint_if_cancelled()
    return task.result()


class Tasks:
    """Tasks that belong to one owner, who ends them all in the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Cancel those that run, and wait until they have ended."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)
