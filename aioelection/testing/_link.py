"""The way between one client and one member, and the gates at which tests hold requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aioelection.errors import ElectionError, Unavailable

Direction = Literal["requests", "replies"]
Method = Literal["status", "get", "txn", "grant", "revoke", "lease_info", "members", "keep_alive", "watch"]
When = Literal["before", "after"]
T = TypeVar("T")


class Link:
    """What lies between one client and one member.

    ``drop`` is a network that swallows: nothing is answered, nothing is refused. ``cut`` is one that refuses: what is
    under way ends at once, and so does whatever is tried. ``mend`` ends both; streams that lost a message break then.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        """Seconds that a message takes, one way."""
        self.is_cut = False
        self._dropped: set[Direction] = set()
        self.on_cut: dict[Callable[[ElectionError], None], None] = {}
        """What ends when the link is cut."""
        self.on_mend: dict[Callable[[ElectionError], None], None] = {}
        """What has lost a message."""

    def drop(self, *directions: Direction) -> None:
        """Swallow ``"requests"``, ``"replies"``, or both if none is named."""
        self._dropped.update(directions or ("requests", "replies"))

    def cut(self) -> None:
        """Break every exchange, and refuse new ones."""
        self.is_cut = True
        for broken in list(self.on_cut):
            broken(Unavailable("connection reset"))

    def mend(self) -> None:
        """Let everything through again."""
        self.is_cut = False
        self._dropped.clear()
        while self.on_mend:
            broken, _ = self.on_mend.popitem()
            broken(Unavailable("connection timed out"))

    def drops(self, direction: Direction) -> bool:
        return direction in self._dropped


class Pipe:
    """One direction of a stream over a link: late, and in order."""

    def __init__(
        self,
        link: Link,
        direction: Direction,
        deliver: Callable[[Any], None],
        broken: Callable[[ElectionError], None],
    ) -> None:
        self._link = link
        self._direction = direction
        self._deliver = deliver
        self._broken = broken
        self._under_way: deque[Any] = deque()
        self._last = 0.0

    def send(self, message: Any) -> None:
        if self._link.drops(self._direction):
            self._link.on_mend[self._broken] = None
            return
        loop = asyncio.get_running_loop()
        self._last = max(self._last, loop.time() + self._link.delay)
        self._under_way.append(message)
        loop.call_at(self._last, self._arrive)

    def _arrive(self) -> None:
        self._deliver(self._under_way.popleft())


class Hold:
    """Requests of one kind are held at the member, before or after it handles them, until the block ends.

    ``release`` lets go of what waits, ``drop`` forgets it: held before, it is never handled; after, never answered.
    """

    def __init__(self, gates: Gates, method: Method, when: When, links: tuple[Link, ...]) -> None:
        self._gates = gates
        self._what = (method, when)
        self._links = links
        self._waiting: list[asyncio.Future[bool]] = []
        self._news = asyncio.Event()
        self.arrived = 0
        """How many requests have been held so far."""

    async def reached(self, count: int = 1) -> None:
        """Wait until that many requests have been held in all."""
        while self.arrived < count:
            self._news.clear()
            await self._news.wait()

    def release(self) -> None:
        """Let go on what is held now; what comes later is held again."""
        self._settle(True)

    def drop(self) -> None:
        """Forget what is held now; what comes later is held again."""
        self._settle(False)

    def only(self) -> None:
        """Hold what is held now until the block ends, and nothing that comes later."""
        self._gates.holds = [hold for hold in self._gates.holds if hold is not self]

    def __enter__(self) -> Self:
        self._gates.holds.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.only()
        self.release()

    def matches(self, method: Method, when: When, link: Link) -> bool:
        return self._what == (method, when) and (not self._links or link in self._links)

    async def wait(self) -> bool:
        released: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(released)
        self.arrived += 1
        self._news.set()
        return await released

    def _settle(self, verdict: bool) -> None:
        while self._waiting:
            waiting = self._waiting.pop(0)
            if not waiting.done():
                waiting.set_result(verdict)


class Gates:
    """The holds that are in force."""

    def __init__(self) -> None:
        self.holds: list[Hold] = []

    async def passed(self, method: Method, when: When, link: Link) -> bool:
        """``False``: the request is to be forgotten."""
        for hold in list(self.holds):
            if hold.matches(method, when, link) and not await hold.wait():
                return False
        return True
