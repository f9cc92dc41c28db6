"""How far each watch has read, so that a new stream goes on where the last one broke off.

Watches are told apart by the id that the server gives them when it answers their creation. It answers creations in the
order in which they were sent, also those that it refuses (these carry no usable id), so that a queue matches them on
every version of etcd.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from aioelection._core.ops import KeyEvent
from aioelection.errors import ElectionError


@dataclass(frozen=True, slots=True)
class WatchReply:
    """One message of a watch stream."""

    watch_id: int
    revision: int
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    refusal: ElectionError | None = None
    """Why the server cancelled the watch, if not for a compaction."""
    events: tuple[KeyEvent, ...] = ()


class Cursor:
    """One watched key, and the revision from which its next event counts."""

    __slots__ = ("_asked", "key", "next_revision")

    def __init__(self, key: bytes, next_revision: int) -> None:
        self.key = key
        self.next_revision = next_revision
        self._asked = False

    def start(self) -> int:
        """The revision to create a watch from, each time one is created.

        When it is created again, it is from one revision earlier, though its event has been told: etcd 3.5.1 says
        nothing when a deletion at the very revision that is asked for has been compacted away.
        """
        start = max(1, self.next_revision - 1) if self._asked else self.next_revision
        self._asked = True
        return start

    def advance(self, events: Iterable[KeyEvent]) -> tuple[KeyEvent, ...]:
        """Take in events, and return those that were not told before."""
        fresh = tuple(e for e in events if e.kv.mod_revision >= self.next_revision)
        if fresh:
            self.next_revision = fresh[-1].kv.mod_revision + 1
        return fresh

    def is_ahead_of(self, revision: int) -> bool:
        """Whether more was seen than had happened by then: who answers with that revision lags, or etcd went back."""
        return revision + 1 < self.next_revision

    def restart(self, revision: int) -> None:
        """After a compaction the key was read at ``revision``: what comes after that counts."""
        self.rewind(max(self.next_revision - 1, revision))

    def rewind(self, revision: int) -> None:
        """Go on from there, though it may be less than was seen."""
        self.next_revision = revision + 1
        self._asked = False

    def __repr__(self) -> str:
        return f"<Cursor {self.key!r} from {self.next_revision}>"


class Verdict(enum.Enum):
    """What a reply means for the cursor that it belongs to."""

    CREATED = "created"
    BEHIND = "behind"
    """Created, by a member that does not know of all that was seen."""
    EVENTS = "events"
    COMPACTED = "compacted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    cursor: Cursor
    events: tuple[KeyEvent, ...] = ()
    refusal: ElectionError | None = None


class CursorBoard:
    """The cursors of one stream: which creation is unanswered, and which id is whose."""

    def __init__(self) -> None:
        self._creating: deque[Cursor] = deque()
        self._by_id: dict[int, Cursor] = {}
        self._ids: dict[Cursor, int] = {}
        self._dropped: set[Cursor] = set()
        """Given up before the server told their id, or never wanted: to be cancelled when it does."""

    def creating(self, cursor: Cursor, *, wanted: bool = True) -> None:
        """The cursor's creation is being sent; of one that is not wanted only the answer counts."""
        self._creating.append(cursor)
        if not wanted:
            self._dropped.add(cursor)

    def drop(self, cursor: Cursor) -> int | None:
        """Nobody wants the cursor any more: the id to cancel, if the server has told one."""
        watch_id = self._ids.pop(cursor, None)
        if watch_id is not None:
            self._by_id.pop(watch_id, None)
        elif cursor in self._creating:
            self._dropped.add(cursor)
        return watch_id

    def judge(self, reply: WatchReply) -> Finding | int | None:
        """What the reply means: a finding, a watch id to cancel since nobody wants it any more, or nothing."""
        if reply.created:
            return self._created(reply)
        cursor = self._by_id.get(reply.watch_id)
        if cursor is None:
            return None
        if reply.canceled:
            del self._by_id[reply.watch_id]
            self._ids.pop(cursor, None)
            return self._ended(cursor, reply)
        events = cursor.advance(reply.events)
        return Finding(Verdict.EVENTS, cursor, events) if events else None

    def _created(self, reply: WatchReply) -> Finding | int | None:
        if not self._creating:
            return None
        cursor = self._creating.popleft()
        dropped = cursor in self._dropped
        self._dropped.discard(cursor)
        if reply.canceled:
            return None if dropped else self._ended(cursor, reply)
        if dropped or cursor in self._ids:
            return reply.watch_id
        self._by_id[reply.watch_id] = cursor
        self._ids[cursor] = reply.watch_id
        return Finding(Verdict.BEHIND if cursor.is_ahead_of(reply.revision) else Verdict.CREATED, cursor)

    @staticmethod
    def _ended(cursor: Cursor, reply: WatchReply) -> Finding:
        if reply.compact_revision:
            return Finding(Verdict.COMPACTED, cursor)
        return Finding(Verdict.REFUSED, cursor, refusal=reply.refusal)

    def __len__(self) -> int:
        return len(self._creating) + len(self._by_id)
