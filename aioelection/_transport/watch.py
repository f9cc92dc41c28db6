"""The watch pump: one stream carries every watch of a client.

An event: the stream delivers it, the cursors say whose it is and whether it is new, and it is told to the watch's
listener at once, synchronously. When the stream breaks or falls silent, another is opened on the next member and every
watch goes on from its cursor: no event is lost or told twice. Where etcd has compacted the events away, the key is
read, the listener is told what it is now, and the watch goes on from that revision.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from collections.abc import Callable
from typing import Self

from aioelection._aio.clock import Clock
from aioelection._aio.tasks import first_of
from aioelection._core.backoff import backoff
from aioelection._core.cursors import Cursor, CursorBoard, Finding, Verdict
from aioelection._core.facts import Changed, Connected, Disconnected, Ended, Fact, Reread
from aioelection._transport.pool import ATTEMPT, Pool
from aioelection._transport.port import WatchStream
from aioelection.errors import ElectionError, PermissionDenied, Unavailable

Listener = Callable[[Fact], None]

LONGEST_PAUSE = 0.3
"""Seconds between attempts to reach anybody, at most."""

PROBE = 1.0
"""Seconds of silence after which a member is asked for a sign of life; as long again without one, and it is left."""

log = logging.getLogger("aioelection.watch")


class Note(enum.Enum):
    """Said to the writer of a stream."""

    PROBE = enum.auto()
    FORGOTTEN = enum.auto()
    """A subscription is gone: it may have been the last."""


class Subscription:
    """One key, from one revision on, told to one listener until it is closed."""

    def __init__(self, pump: WatchPump, cursor: Cursor, listener: Listener) -> None:
        self._pump = pump
        self.cursor = cursor
        self.tell = listener

    def close(self) -> None:
        """End the watch; the listener is told nothing more."""
        self._pump.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WatchPump:
    """Serves the subscriptions that there are; its task lives exactly while there are any."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._subscriptions: dict[Cursor, Subscription] = {}
        self._board = CursorBoard()
        self._outbox: asyncio.Queue[Cursor | int | Note] = asyncio.Queue()
        """What the stream's writer is to do: create a cursor's watch, cancel the watch of an id, or heed a note."""
        self._heard = 0.0
        self._served = False
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, key: bytes, next_revision: int, listener: Listener) -> Subscription:
        """Tell the listener all that happens to ``key`` from ``next_revision`` on."""
        cursor = Cursor(key, next_revision)
        subscription = self._subscriptions[cursor] = Subscription(self, cursor, listener)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        else:
            self._outbox.put_nowait(cursor)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.cursor, None) is None:
            return
        watch_id = self._board.drop(subscription.cursor)
        self._outbox.put_nowait(Note.FORGOTTEN if watch_id is None else watch_id)

    async def aclose(self) -> None:
        """End every subscription, telling its listener so."""
        for cursor in list(self._subscriptions):
            self._end(cursor, Ended())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        while self._subscriptions:
            connection = self._pool.connection()
            self._start_over()
            try:
                stream = await connection.watch(timeout=ATTEMPT)
                try:
                    await first_of(self._write(stream), self._read(stream), self._probe())
                finally:
                    stream.close()
            except ElectionError as error:
                log.info("watches interrupted: %s", error)
                self._pool.failed(connection)
                failures = 1 if self._served else failures + 1
                self._tell_all(Disconnected())
                await asyncio.sleep(backoff(failures, random.random(), longest=LONGEST_PAUSE))

    def _start_over(self) -> None:
        """A new stream knows nothing: every watch is created anew, from its cursor."""
        self._board = CursorBoard()
        self._outbox = asyncio.Queue()
        for cursor in self._subscriptions:
            self._outbox.put_nowait(cursor)
        self._served = False
        self._heard = self._clock.now()

    async def _write(self, stream: WatchStream) -> None:
        while self._subscriptions:
            match await self._outbox.get():
                case Note.PROBE:
                    await stream.request_progress()
                case int(watch_id):
                    await stream.cancel(watch_id)
                case Cursor() as cursor if cursor in self._subscriptions:
                    self._board.creating(cursor)
                    await stream.create(cursor.key, cursor.next_revision)

    async def _read(self, stream: WatchStream) -> None:
        while True:
            reply = await stream.receive()
            self._heard = self._clock.now()
            match self._board.judge(reply):
                case int(unwanted):
                    self._outbox.put_nowait(unwanted)
                case Finding() as finding:
                    await self._act(finding)

    async def _act(self, finding: Finding) -> None:
        cursor = finding.cursor
        match finding.verdict:
            case Verdict.CREATED:
                self._served = True
                self._tell(cursor, Connected())
            case Verdict.EVENTS:
                for event in finding.events:
                    self._tell(cursor, Changed(event))
            case Verdict.COMPACTED:
                await self._reread(cursor)
            case Verdict.REFUSED:
                if not isinstance(finding.refusal, PermissionDenied):
                    raise finding.refusal or Unavailable(
                        "a watch was cancelled"
                    )  # the stream as a whole is of no use: another member, or another token
                self._end(cursor, Ended(finding.refusal))

    async def _reread(self, cursor: Cursor) -> None:
        try:
            reply = await self._pool.get(cursor.key, timeout=ATTEMPT)
        except PermissionDenied as error:
            self._end(cursor, Ended(error))
            return
        cursor.restart(reply.header.revision)
        self._tell(cursor, Reread(reply.result.kv, reply.header.revision))
        self._outbox.put_nowait(cursor)

    async def _probe(self) -> None:
        """A frozen member, or a link that swallows, is told from a quiet one by asking."""
        while True:
            quiet = self._clock.now() - self._heard
            if quiet >= 2 * PROBE:
                raise Unavailable(f"the watch stream has been silent for {quiet:.1f} s")
            if quiet >= PROBE:
                self._outbox.put_nowait(Note.PROBE)
            await asyncio.sleep(PROBE / 2)

    def _tell(self, cursor: Cursor, fact: Fact) -> None:
        subscription = self._subscriptions.get(cursor)
        if subscription is not None:
            subscription.tell(fact)

    def _tell_all(self, fact: Fact) -> None:
        for cursor in list(self._subscriptions):
            self._tell(cursor, fact)

    def _end(self, cursor: Cursor, fact: Ended) -> None:
        subscription = self._subscriptions.get(cursor)
        if subscription is not None:
            subscription.close()
            subscription.tell(fact)
