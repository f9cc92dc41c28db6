"""Waiting for a leader to go."""

from __future__ import annotations

import enum
from collections.abc import Callable

from aioelection._aio.mailbox import Mailbox
from aioelection._core.facts import Changed, Connected, Disconnected, Ended, Reread
from aioelection._core.ops import KeyEvent, KeyValue
from aioelection._shell.hub import Hub
from aioelection.errors import Unavailable


class WatchEnd(enum.Enum):
    """Why ``Leadership.watch`` returned."""

    GONE = "gone"
    """The watched leader's key was deleted, or has passed to a later term, or etcd was restored from before it."""
    OVERWRITTEN = "overwritten"
    """Somebody wrote the key under another lease, and ``set_primary_watch`` was on."""
    UNREACHABLE = "unreachable"
    """No member could be watched on for ``patience`` seconds: whether the leader is still there is not known."""
    CLOSED = "closed"
    """The client was closed."""


class LeaderWatch:
    """Watches one leader until it is gone."""

    def __init__(self, hub: Hub, key: bytes, overwrites_count: Callable[[], bool]) -> None:
        self._hub = hub
        self._key = key
        self._overwrites_count = overwrites_count
        self._revision = 0
        """The mod revision at which the leader was seen; what happened up to it does not count."""
        self._lease_id: int | None = None
        """The lease that its key hung on then, once known."""

    async def run(self, revision: int, patience: float) -> WatchEnd:
        if self._hub.closed:
            return WatchEnd.CLOSED
        self._revision = revision
        if revision == 0:
            try:
                kv = (await self._hub.pool.get(self._key, timeout=patience)).result.kv
            except Unavailable:
                return WatchEnd.CLOSED if self._hub.closed else WatchEnd.UNREACHABLE
            if self._hub.closed:
                return WatchEnd.CLOSED
            if kv is None:
                return WatchEnd.GONE
            self._revision = kv.mod_revision
        return await self._read(patience)

    async def _read(self, patience: float) -> WatchEnd:
        facts = Mailbox(self._hub.clock)
        silent_since: float | None = self._hub.clock.now()
        # The revision itself is told once more: it tells the lease that an overwrite is judged by.
        with self._hub.watches.subscribe(self._key, self._revision, facts.put):
            while True:
                end: WatchEnd | None = None
                match await facts.get(None if silent_since is None else silent_since + patience):
                    case None:
                        return WatchEnd.UNREACHABLE
                    case Connected():
                        silent_since = None
                    case Disconnected():
                        silent_since = self._hub.clock.now() if silent_since is None else silent_since
                    case Ended(error=error):
                        if error is not None:
                            raise error
                        return WatchEnd.CLOSED
                    case Changed(event):
                        end = self._changed(event)
                    case Reread(kv, revision):
                        end = self._reread(kv, revision)
                if end is not None:
                    return end

    def _changed(self, event: KeyEvent) -> WatchEnd | None:
        if event.kv.mod_revision <= self._revision:
            self._lease_id = event.kv.lease_id
            return None
        return WatchEnd.GONE if event.deleted else self._overwritten(event.kv)

    def _reread(self, kv: KeyValue | None, revision: int) -> WatchEnd | None:
        restored = revision < self._revision  # from a backup that is older than the leader
        if kv is None or restored or kv.create_revision > self._revision:
            return WatchEnd.GONE
        if kv.mod_revision <= self._revision:
            self._lease_id = kv.lease_id
            return None
        return self._overwritten(kv)

    def _overwritten(self, kv: KeyValue) -> WatchEnd | None:
        """A leader may change its own value; only a put under another lease takes the key from it."""
        return WatchEnd.OVERWRITTEN if kv.lease_id != self._lease_id and self._overwrites_count() else None
