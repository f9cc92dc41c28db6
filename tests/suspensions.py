"""Meddling with a coroutine at each point where it waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


class ActsAt:
    """Awaits something, and acts at its k-th suspension: while it waits, or just as what it waits for has come."""

    def __init__(self, awaitable: Awaitable[Any], at: int, act: Callable[[], object], *, answered: bool) -> None:
        self._awaitable = awaitable
        self._at = at
        self._act = act
        self._answered = answered
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        resume: Callable[[Any], Any] = inner.send
        value: Any = None
        for count in itertools.count():
            try:
                awaited = resume(value)
            except StopIteration as end:
                return end.value
            if count == self._at:
                self._arrange(awaited)
            try:
                value = yield awaited
                resume = inner.send
            except BaseException as error:  # noqa: BLE001 (it is passed on)
                resume, value = inner.throw, error
        return None

    def _arrange(self, awaited: Any) -> None:
        self.reached = True
        if self._answered and isinstance(awaited, asyncio.Future):
            awaited.add_done_callback(lambda _: self._act())  # before the task itself is told
        else:
            asyncio.get_running_loop().call_soon(self._act)


def starting(
    operation: Callable[[], Coroutine[Any, Any, None]], started: list[asyncio.Task[None]]
) -> Callable[[], None]:
    """An act that starts the operation in a task of its own, which is noted."""
    return lambda: started.append(asyncio.ensure_future(operation()))
