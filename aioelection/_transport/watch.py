"""The watch pump: one stream carries every watch of a client.

An event: the stream delivers it, the cursors say whose it is and whether it is new, and it is told to those who listen,
at once, synchronously. When the stream breaks or falls silent, another is opened on the next member and every watch
goes on from its cursor: no event is lost or told twice. Where etcd has compacted the events away, the key is read, the
listeners are told what it is now, and the watch goes on from there. So it is where etcd was restored from an older
backup: a watch from a revision that is yet to come would be silent until it comes.

All who listen to one key share one watch, unless one asks for events older than those that the watch remembers.
"""

from __future__ import annotations

import asyncio
import enum
import logging

from aioelection._aio.tasks import Tasks, first_of
from aioelection._core.cursors import Cursor, CursorBoard, Finding, Verdict
from aioelection._core.events import StreamBroken
from aioelection._core.facts import Connected, Disconnected, Ended, Reread
from aioelection._transport.key_watch import KeyWatch, Listener, Subscription
from aioelection._transport.pool import ATTEMPT, LINGER, LONGEST_PAUSE, Pool, pause_after
from aioelection._transport.port import Connection, GetReply, WatchStream
from aioelection.errors import ElectionError, PermissionDenied, Unavailable

PROBE = 1.0
"""Seconds of silence after which a member is asked for a sign of life; as long again without one, and it is left."""

LOOKS = 2
"""How often in that time it is looked at."""

MOST_FAILURES = 2
"""Reads in a row that a member may fail to answer before it is left."""

log = logging.getLogger("aioelection.watch")


class Note(enum.Enum):
    """Said to the writer of a stream."""

    PROBE = enum.auto()
    FORGOTTEN = enum.auto()
    """A watch is gone: it may have been the last."""
    OUTDATED = enum.auto()
    """The stream's credentials are no longer good: another is needed."""


class WatchPump:
    """Serves the watches that there are; its task lives while there are any, and a moment longer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._watches: dict[Cursor, KeyWatch] = {}
        self._by_key: dict[bytes, list[KeyWatch]] = {}
        self._board = CursorBoard()
        self._outbox: asyncio.Queue[Cursor | int | Note] = asyncio.Queue()
        """What the stream's writer is to do: create a cursor's watch, cancel the watch of an id, or heed a note."""
        self._unwanted: set[int] = set()
        """Ids of watches that are to be cancelled, when another is created: whoever leaves the last is in a hurry."""
        self._idle_since = 0.0
        """By the event loop's clock."""
        self._heard = 0
        """Replies so far."""
        self._served = False
        self._went_back = False
        """The present stream's etcd is known, and was told, to be behind what was seen."""
        self._task: asyncio.Task[None] | None = None
        self._rereads = Tasks()
        self.open_streams = 0
        self.reconnects = 0

    def subscribe(self, key: bytes, next_revision: int, listener: Listener) -> Subscription:
        """Tell the listener all that happens to ``key`` from ``next_revision`` on."""
        for watch in self._by_key.get(key, ()):
            if watch.covers(next_revision):
                return watch.join(next_revision, listener)
        watch = KeyWatch(self.forget, key, next_revision)
        self._watches[watch.cursor] = watch
        self._by_key.setdefault(key, []).append(watch)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        else:
            self._outbox.put_nowait(watch.cursor)
        return watch.join(next_revision, listener)

    def forget(self, watch: KeyWatch) -> None:
        if self._watches.pop(watch.cursor, None) is None:
            return
        sharing = self._by_key[watch.cursor.key]
        sharing.remove(watch)
        if not sharing:
            del self._by_key[watch.cursor.key]
        self._idle_since = asyncio.get_running_loop().time()
        watch_id = self._board.drop(watch.cursor)
        self._outbox.put_nowait(Note.FORGOTTEN if watch_id is None else watch_id)

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def listeners(self) -> int:
        return sum(len(watch) for watch in self._watches.values())

    async def aclose(self) -> None:
        """End every watch, telling those who listen."""
        for watch in list(self._watches.values()):
            watch.end(Ended())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._rereads.aclose()

    # ------------------------------------------------------------------ the pump's own task

    async def _run(self) -> None:
        failures = 0
        while self._watches:
            connection = self._pool.connection()
            self._start_over()
            try:
                stream = await connection.watch(timeout=ATTEMPT)
                self.open_streams = 1
                try:
                    await first_of(
                        self._write(stream),
                        self._read(stream),
                        self._probe(),
                        _led(connection),
                        self._current(connection),
                    )
                finally:
                    self.open_streams = 0
                    stream.close()
            except ElectionError as error:
                log.info("watches interrupted: %s", error)
                self._pool.failed(connection)
                self.reconnects += 1
                if self._pool.hooks is not None:
                    endpoint = str(connection.endpoint)
                    self._pool.hooks.tell(StreamBroken(stream="watches", endpoint=endpoint, error=str(error)))
                failures = 0 if self._served else failures + 1
                for watch in list(self._watches.values()):
                    watch.tell(Disconnected())
                await asyncio.sleep(pause_after(failures // len(self._pool.roster)))  # at once, while there are others

    def _start_over(self) -> None:
        """A new stream knows nothing: every watch is created anew, from its cursor."""
        self._board = CursorBoard()
        self._outbox = asyncio.Queue()
        self._unwanted.clear()
        for cursor in self._watches:
            self._outbox.put_nowait(cursor)
        self._served = self._went_back = False

    async def _write(self, stream: WatchStream) -> None:
        while (note := await self._next_note()) is not None:
            match note:
                case Note.PROBE:
                    await self._create_unwanted(stream)
                case Note.OUTDATED:
                    raise Unavailable("the watch stream's credentials are out of date")
                case int(watch_id):
                    self._unwanted.add(watch_id)
                case Cursor() as cursor if cursor in self._watches:
                    self._board.creating(cursor)
                    await stream.create(cursor.key, cursor.start())
            while self._watches and self._unwanted:
                await stream.cancel(self._unwanted.pop())

    async def _create_unwanted(self, stream: WatchStream) -> None:
        """Every version of etcd answers a creation, and at once; 3.5.30 answers no request for progress while a watch
        waits for a revision that is yet to be written, as that of an idle key's leader does (measured).
        """
        if (watched := next(iter(self._watches), None)) is not None:
            unwanted = Cursor(watched.key, 0)
            self._board.creating(unwanted, wanted=False)
            await stream.create(unwanted.key, unwanted.start())

    async def _next_note(self) -> Cursor | int | Note | None:
        """``None`` when there has been nothing to watch for ``LINGER`` seconds."""
        try:
            async with asyncio.timeout_at(None if self._watches else self._idle_since + LINGER):
                return await self._outbox.get()
        except TimeoutError:
            return None

    async def _read(self, stream: WatchStream) -> None:
        while True:
            reply = await stream.receive()
            self._heard += 1
            match self._board.judge(reply):
                case int(unwanted):
                    self._outbox.put_nowait(unwanted)
                case Finding() as finding if finding.cursor in self._watches:
                    self._act(finding, self._watches[finding.cursor])

    def _act(self, finding: Finding, watch: KeyWatch) -> None:
        match finding.verdict:
            case Verdict.CREATED:
                self._served = True
                watch.tell(Connected())
            case Verdict.BEHIND:
                self._served = True
                self._rereads.start(self._look_back(watch, finding.cursor.next_revision, self._outbox))
            case Verdict.EVENTS:
                watch.events(finding.events)
            case Verdict.COMPACTED:
                self._rereads.start(self._reread(watch, self._outbox))
            case Verdict.REFUSED:
                if not isinstance(finding.refusal, PermissionDenied):
                    raise finding.refusal or Unavailable("a watch was cancelled")  # try another member, or token
                self._rereads.start(self._doubt(watch, self._outbox))

    async def _doubt(self, watch: KeyWatch, outbox: asyncio.Queue[Cursor | int | Note]) -> None:
        """Tell a permission that is lacking from a token that is out of date: etcd denies both in the same words.

        A read needs the same permission, and its token is renewed when it is refused.
        """
        try:
            await self._pool.get(watch.cursor.key, timeout=ATTEMPT)
        except PermissionDenied as error:
            watch.end(Ended(error))
            return
        except ElectionError as error:
            log.info("whether a watch is permitted cannot be told: %s", error)
        if watch.cursor in self._watches and outbox is self._outbox:
            outbox.put_nowait(Note.OUTDATED)

    async def _reread(self, watch: KeyWatch, outbox: asyncio.Queue[Cursor | int | Note]) -> None:
        """Read the key that was compacted, and go on from there on the same stream."""
        reply = await self._read_key(watch, outbox)
        if reply is None or outbox is not self._outbox:  # a new stream asks anew, and may have told more by now
            return
        watch.cursor.restart(reply.header.revision)
        watch.tell(Reread(reply.result.kv, reply.header.revision))
        outbox.put_nowait(watch.cursor)

    async def _look_back(self, watch: KeyWatch, next_revision: int, outbox: asyncio.Queue[Cursor | int | Note]) -> None:
        """Tell a member that lags from an etcd that was restored from an older backup: only its quorum knows.

        ``next_revision`` is the cursor's from before the reading: events may move it meanwhile.
        """
        reply = await self._read_key(watch, outbox)
        if reply is None or outbox is not self._outbox:  # a new stream asks anew
            return
        revision = reply.header.revision
        if revision + 1 >= next_revision:
            watch.tell(Connected())
            return
        self._tell_once(next_revision - 1, revision)
        if (watch_id := self._board.drop(watch.cursor)) is not None:
            outbox.put_nowait(watch_id)
        watch.rewind(revision)
        watch.tell(Reread(reply.result.kv, revision))
        outbox.put_nowait(watch.cursor)

    def _tell_once(self, seen: int, revision: int) -> None:
        if not self._went_back:
            self._went_back = True
            log.error(
                "etcd went back from revision %d to %d, and fencing tokens with it:"
                " it was restored from an older backup, or replaced by another cluster",
                seen,
                revision,
            )

    async def _read_key(self, watch: KeyWatch, outbox: asyncio.Queue[Cursor | int | Note]) -> GetReply | None:
        """Ask until it is answered, or nobody needs it any more."""
        while watch.cursor in self._watches and outbox is self._outbox:
            try:
                return await self._pool.get(watch.cursor.key, timeout=ATTEMPT)
            except PermissionDenied as error:
                watch.end(Ended(error))
            except ElectionError as error:
                log.info("reading a watched key: %s", error)
                await asyncio.sleep(LONGEST_PAUSE)
        return None

    async def _probe(self) -> None:
        """A frozen member, or a link that swallows, is told from a quiet one by asking.

        Silence is counted in looks, not in time: while our own loop stands still nothing can be heard.
        """
        heard, looks = self._heard, 0
        while True:
            await asyncio.sleep(PROBE / LOOKS)
            if self._heard != heard:
                heard, looks = self._heard, 0
                continue
            looks += 1
            if looks >= 2 * LOOKS:
                raise Unavailable(f"the watch stream has been silent for {looks * PROBE / LOOKS:.1f} s")
            if looks >= LOOKS:
                self._outbox.put_nowait(Note.PROBE)

    async def _current(self, connection: Connection) -> None:
        """Raise when the member agrees on nothing with the others, though it may know their leader.

        One whose disk hangs stands still where it is: it answers whatever it need not write, creations of watches too,
        and tells no event until the disk goes on (measured on 3.5.30 with ``fsync`` held up).
        """
        failures = 0
        while failures < MOST_FAILURES:
            await asyncio.sleep(0 if failures else PROBE)
            watched = next(iter(self._watches), None)
            try:
                if watched is not None:
                    await connection.get(watched.key, timeout=ATTEMPT)
            except ElectionError as error:
                log.info("a watched member cannot be read: %s", error)
                failures = 0 if isinstance(error, PermissionDenied) else failures + 1
            else:
                failures = 0
        raise Unavailable(f"{connection.endpoint}: the member agrees on no read with the others")


async def _led(connection: Connection) -> None:
    """Raise when the member has no leader: one that is cut off from the others answers, and tells nothing new.

    etcd ends the stream itself then, but takes 3 to 5 election timeouts for it (measured).
    """
    while True:
        await asyncio.sleep(PROBE)
        try:
            status = await connection.status(timeout=ATTEMPT)
        except ElectionError as error:
            log.info("a watched member does not tell whether it has a leader: %s", error)
            continue
        if status.leaderless:
            raise Unavailable(f"{connection.endpoint}: the member has no leader")
