"""Following who leads, without standing."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from typing import Any

from aioelection._core import checks
from aioelection._core.facts import Changed, Connected, Disconnected, Ended, Fact, Reread
from aioelection._core.ops import KeyValue
from aioelection._shell.hub import REQUEST_TIMEOUT
from aioelection._transport.key_watch import Subscription
from aioelection.client import AnyClient, Client, as_client
from aioelection.errors import Unavailable
from aioelection.leader import Leader, check_message_type, warn_if_unleased


class Observer:
    """An async iterator of who leads: a ``Leader``, or ``None`` while nobody does; made by ``observe``.

    It begins with the present leader, gives the latest whenever it is asked, and may skip terms, but never goes back,
    unless etcd itself was restored from an older backup: then it tells the present leader again.
    It rides out outages without a word: ask ``stale_for`` how fresh it is. It ends when the client closes, and raises
    only when etcd refuses it. ``aclose`` ends it early; a cancelled wait can be taken up again.
    """

    def __init__(self, client: Client, key: bytes, message_type: type[Any] | None) -> None:
        self._client = client
        self._hub = client.hub
        self._key = key
        self._message_type = message_type
        self._subscription: Subscription | None = None
        self._latest: KeyValue | None = None
        self._untold = False
        self._ended: Ended | None = None
        self._stale_since: float | None = self._hub.clock.now()
        self._news = asyncio.Event()
        self._hub.iterators.add(self)

    def __aiter__(self) -> Observer:
        return self

    async def __anext__(self) -> Leader | None:
        if self._ended is None and self._subscription is None:
            await self._begin()
        while not self._untold:
            if self._ended is not None:
                if self._ended.error is not None:
                    raise self._ended.error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        self._untold = False
        warn_if_unleased(self._latest)
        return None if self._latest is None else Leader.of(self._latest, self._message_type)

    def stale_for(self) -> float:
        """Seconds for which it has not been certain that what was told last still holds; 0 while it is certain.

        Certain means: the watch stands on a member that has a quorum.
        """
        return 0.0 if self._stale_since is None else self._hub.clock.now() - self._stale_since

    async def aclose(self) -> None:
        """End the iteration; a wait for the next leader ends too."""
        self.close()

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        self._told(Ended())

    async def _begin(self) -> None:
        """Read who leads, for as long as it takes, and watch from there."""
        self._hub.check_use()
        while self._ended is None:
            try:
                reply = await self._hub.pool.get(self._key, timeout=REQUEST_TIMEOUT)
            except Unavailable:
                if self._hub.closed:
                    self._told(Ended())
                continue
            if self._subscription is None and self._ended is None:
                self._told(Reread(reply.result.kv, reply.header.revision))
                self._subscribe(reply.header.revision + 1)  # second: it may tell at once what came since
            return

    def _subscribe(self, next_revision: int) -> None:
        """Watch, for as long as anybody holds this: a loop that was left by ``break`` closes nothing."""
        told = weakref.WeakMethod(self._told)

        def tell(fact: Fact) -> None:
            if (method := told()) is not None:
                method(fact)

        self._subscription = self._hub.watches.subscribe(self._key, next_revision, tell)
        weakref.finalize(self, _dropped, asyncio.get_running_loop(), self._subscription).atexit = False

    def _told(self, fact: Fact) -> None:
        match fact:
            case Changed(event):
                self._latest = None if event.deleted else event.kv
                self._untold = True
            case Reread(kv, _):
                self._latest = kv
                self._untold = True
                self._stale_since = None
            case Connected():
                self._stale_since = None
            case Disconnected():
                self._stale_since = self._hub.clock.now() if self._stale_since is None else self._stale_since
            case Ended():
                self._ended = self._ended or fact
        self._news.set()


def _dropped(loop: asyncio.AbstractEventLoop, subscription: Subscription) -> None:
    """Garbage is collected in any thread, and may be when the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(subscription.close)


def observe(client: AnyClient, leader_key: str | bytes, message_type: type[Any] | None = None) -> Observer:
    """Follow who leads ``leader_key``, for processes that never stand.

    Args:
        client: an ``aioelection.Client`` or an ``aetcd.Client``.
        leader_key: the key that candidates compete for.
        message_type: a protobuf message class, such as ``Member``, to parse values as.

    Raises:
        InvalidConfiguration: an argument cannot work.
    """
    key = checks.key(leader_key)
    check_message_type(message_type)
    return Observer(as_client(client), key, message_type)
