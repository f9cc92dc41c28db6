"""Where each watch goes on, and whose a message is."""

import itertools
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aioelection._core.cursors import Cursor, CursorBoard, Finding, Verdict, WatchReply
from aioelection._core.ops import KeyEvent, KeyValue
from aioelection.errors import PermissionDenied

REFUSAL = PermissionDenied("no")


def put(revision: int) -> KeyEvent:
    return KeyEvent(False, KeyValue(b"/k", b"v", 2, revision, 1, 0))


def delete(revision: int) -> KeyEvent:
    return KeyEvent(True, KeyValue(b"/k", b"", 0, revision, 0, 0))


def created(watch_id: int) -> WatchReply:
    return WatchReply(watch_id, 100, created=True)


def refused_creation() -> WatchReply:
    """As etcd sends it: it carries an id that is nobody's."""
    return WatchReply(-1, 100, created=True, canceled=True, refusal=REFUSAL)


def events(watch_id: int, *told: KeyEvent) -> WatchReply:
    return WatchReply(watch_id, 100, events=told)


def watching(watch_id: int, next_revision: int = 1) -> tuple[CursorBoard, Cursor]:
    board, cursor = CursorBoard(), Cursor(b"/k", next_revision)
    board.creating(cursor)
    board.judge(created(watch_id))
    return board, cursor


# One cursor


def test_an_event_counts_from_the_next_revision_on() -> None:
    cursor = Cursor(b"/k", 5)
    assert cursor.advance([put(4)]) == ()
    assert cursor.advance([put(5)]) == (put(5),)
    assert cursor.advance([put(5)]) == ()
    assert cursor.next_revision == 6


def test_of_a_batch_only_what_is_new_is_told_in_its_order() -> None:
    cursor = Cursor(b"/k", 5)
    assert cursor.advance([put(3), delete(4), put(5), delete(7)]) == (put(5), delete(7))
    assert cursor.next_revision == 8


def test_nothing_told_leaves_the_cursor_where_it_is() -> None:
    cursor = Cursor(b"/k", 5)
    assert cursor.advance([]) == ()
    assert cursor.advance([put(4)]) == ()
    assert cursor.next_revision == 5


def test_after_a_compaction_it_goes_on_behind_what_was_read() -> None:
    cursor = Cursor(b"/k", 5)
    cursor.restart(20)
    assert cursor.next_revision == 21
    assert cursor.advance([put(20), delete(21)]) == (delete(21),)


def test_a_read_from_a_member_that_lags_turns_nothing_back() -> None:
    cursor = Cursor(b"/k", 50)
    cursor.restart(20)
    assert cursor.next_revision == 50


def test_it_is_ahead_of_a_member_that_does_not_know_what_was_seen() -> None:
    cursor = Cursor(b"/k", 50)
    assert not cursor.is_ahead_of(49), "all that was seen"
    assert cursor.is_ahead_of(48)


def test_where_etcd_itself_went_back_it_goes_on_from_there() -> None:
    cursor = Cursor(b"/k", 50)
    assert cursor.start() == 50
    cursor.rewind(20)
    assert cursor.start() == cursor.next_revision == 21
    assert cursor.advance([put(20), put(21)]) == (put(21),)


def test_two_watches_of_one_key_are_two() -> None:
    assert Cursor(b"/k", 5) != Cursor(b"/k", 5)


def test_its_repr_tells_where_it_is() -> None:
    assert repr(Cursor(b"/k", 5)) == "<Cursor b'/k' from 5>"


@given(st.data())
def test_every_event_is_told_once_and_in_order_however_often_the_stream_breaks(data: st.DataObject) -> None:
    history = [put(r) for r in sorted(data.draw(st.sets(st.integers(1, 60)), "history"))]
    start = data.draw(st.integers(0, 61), "start")
    cursor = Cursor(b"/k", start)
    told: list[KeyEvent] = []
    connections = data.draw(st.integers(0, 5), "connections that break")
    for last in [False] * connections + [True]:
        board = CursorBoard()
        board.creating(cursor)
        watch_id = data.draw(st.integers(0, 3), "watch id")
        board.judge(created(watch_id))
        # A server may repeat what comes before the revision that it was asked for.
        repeated = data.draw(st.integers(0, 10), "repeated")
        stream = [e for e in history if e.kv.mod_revision >= cursor.next_revision - repeated]
        if not last:
            stream = stream[: data.draw(st.integers(0, len(stream)), "broken off after")]
        while stream:
            size = data.draw(st.integers(1, len(stream)), "batch")
            finding = board.judge(events(watch_id, *stream[:size]))
            if finding is not None:
                assert isinstance(finding, Finding)
                assert finding.verdict is Verdict.EVENTS
                assert finding.cursor is cursor
                assert finding.events
                told.extend(finding.events)
            stream = stream[size:]
    assert told == [e for e in history if e.kv.mod_revision >= start]


# The board of one stream


def test_creations_are_answered_in_the_order_in_which_they_were_sent() -> None:
    board = CursorBoard()
    cursors = [Cursor(b"/a", 1), Cursor(b"/b", 1), Cursor(b"/c", 1)]
    for cursor in cursors:
        board.creating(cursor)
    for cursor, watch_id in zip(cursors, (7, 0, 3), strict=True):
        assert board.judge(created(watch_id)) == Finding(Verdict.CREATED, cursor)
    for cursor, watch_id in zip(cursors, (7, 0, 3), strict=True):
        assert board.judge(events(watch_id, put(5))) == Finding(Verdict.EVENTS, cursor, (put(5),))


@pytest.mark.parametrize(("next_revision", "verdict"), [(101, Verdict.CREATED), (102, Verdict.BEHIND)])
def test_a_creation_tells_whether_the_member_knows_all_that_was_seen(next_revision: int, verdict: Verdict) -> None:
    board, cursor = CursorBoard(), Cursor(b"/k", next_revision)
    board.creating(cursor)
    assert board.judge(created(1)) == Finding(verdict, cursor)
    assert board.judge(events(1, put(200))) == Finding(Verdict.EVENTS, cursor, (put(200),))


def test_a_refused_creation_is_matched_too_and_leaves_the_next_in_its_place() -> None:
    board = CursorBoard()
    forbidden, allowed = Cursor(b"/a", 1), Cursor(b"/b", 1)
    board.creating(forbidden)
    board.creating(allowed)
    assert board.judge(refused_creation()) == Finding(Verdict.REFUSED, forbidden, refusal=REFUSAL)
    assert board.judge(created(0)) == Finding(Verdict.CREATED, allowed)
    assert len(board) == 1


def test_a_refused_creation_has_no_watch() -> None:
    board = CursorBoard()
    board.creating(Cursor(b"/a", 1))
    board.judge(refused_creation())
    assert board.judge(events(-1, put(5))) is None
    assert len(board) == 0


def test_a_creation_below_the_compaction_is_no_refusal() -> None:
    board, cursor = CursorBoard(), Cursor(b"/k", 1)
    board.creating(cursor)
    reply = WatchReply(-1, 100, created=True, canceled=True, compact_revision=50)
    assert board.judge(reply) == Finding(Verdict.COMPACTED, cursor)


def test_an_answer_that_nobody_waits_for_means_nothing() -> None:
    board = CursorBoard()
    assert board.judge(created(0)) is None
    assert board.judge(events(0, put(5))) is None
    assert board.judge(WatchReply(0, 100, canceled=True)) is None
    assert len(board) == 0


def test_events_that_were_told_before_are_no_finding() -> None:
    board, _ = watching(4, next_revision=10)
    assert board.judge(events(4, put(9))) is None


def test_of_a_watch_that_is_not_wanted_only_the_answer_counts() -> None:
    board = CursorBoard()
    board.creating(Cursor(b"/k", 0), wanted=False)
    board.creating(wanted := Cursor(b"/k", 5))
    assert board.judge(created(7)) == 7, "to be cancelled"
    assert board.judge(events(7, put(5))) is None
    assert board.judge(created(8)) == Finding(Verdict.CREATED, wanted)


def test_a_cursor_has_one_watch_however_often_it_is_created() -> None:
    board, cursor = watching(1, next_revision=5)
    board.creating(cursor)
    assert board.judge(created(2)) == 2, "to be cancelled"
    assert board.judge(WatchReply(2, 100, canceled=True)) is None
    assert board.judge(events(1, put(5))) == Finding(Verdict.EVENTS, cursor, (put(5),))
    assert board.drop(cursor) == 1 and len(board) == 0


def test_a_sign_of_life_is_no_finding() -> None:
    board, cursor = watching(4)
    assert board.judge(WatchReply(4, 500)) is None
    assert cursor.next_revision == 1, "only what was told counts"


def test_a_watch_cancelled_by_a_compaction_ends_and_says_so() -> None:
    board, cursor = watching(4)
    assert board.judge(WatchReply(4, 100, canceled=True, compact_revision=50)) == Finding(Verdict.COMPACTED, cursor)
    assert board.judge(events(4, put(60))) is None
    assert len(board) == 0


def test_after_a_compaction_the_same_cursor_is_created_again() -> None:
    board, cursor = watching(4)
    board.judge(WatchReply(4, 100, canceled=True, compact_revision=50))
    cursor.restart(100)
    board.creating(cursor)
    assert board.judge(created(5)) == Finding(Verdict.CREATED, cursor)
    assert board.judge(events(5, put(100), put(101))) == Finding(Verdict.EVENTS, cursor, (put(101),))


@pytest.mark.parametrize("refusal", [REFUSAL, None])
def test_a_watch_cancelled_otherwise_ends_with_its_refusal(refusal: PermissionDenied | None) -> None:
    board, cursor = watching(4)
    reply = WatchReply(4, 100, canceled=True, refusal=refusal)
    assert board.judge(reply) == Finding(Verdict.REFUSED, cursor, refusal=refusal)
    assert board.judge(events(4, put(60))) is None


def test_a_dropped_watch_has_its_id_to_cancel_and_is_heard_no_more() -> None:
    board, cursor = watching(0)
    assert board.drop(cursor) == 0
    assert board.judge(events(0, put(5))) is None
    assert board.judge(WatchReply(0, 100, canceled=True)) is None
    assert cursor.next_revision == 1
    assert len(board) == 0


def test_dropping_one_watch_leaves_the_others() -> None:
    board = CursorBoard()
    kept, dropped = Cursor(b"/k", 1), Cursor(b"/k", 1)
    for cursor, watch_id in ((kept, 1), (dropped, 2)):
        board.creating(cursor)
        board.judge(created(watch_id))
    assert board.drop(dropped) == 2
    assert board.judge(events(1, put(5))) == Finding(Verdict.EVENTS, kept, (put(5),))


def test_a_watch_dropped_before_its_creation_was_answered_is_answered_with_its_id_to_cancel() -> None:
    board = CursorBoard()
    dropped, kept = Cursor(b"/a", 1), Cursor(b"/b", 1)
    board.creating(dropped)
    board.creating(kept)
    assert board.drop(dropped) is None, "its id is not known yet"
    assert board.judge(created(8)) == 8
    assert board.judge(created(9)) == Finding(Verdict.CREATED, kept)
    assert board.judge(events(8, put(5))) is None


def test_a_dropped_watch_whose_creation_is_refused_needs_nothing_more() -> None:
    board = CursorBoard()
    dropped, kept = Cursor(b"/a", 1), Cursor(b"/b", 1)
    board.creating(dropped)
    board.creating(kept)
    board.drop(dropped)
    assert board.judge(refused_creation()) is None
    assert board.judge(created(9)) == Finding(Verdict.CREATED, kept)


def test_a_watch_dropped_and_asked_for_again_is_wanted_the_second_time() -> None:
    board, cursor = CursorBoard(), Cursor(b"/a", 1)
    board.creating(cursor)
    board.drop(cursor)
    board.creating(cursor)
    assert board.judge(created(1)) == 1
    assert board.judge(created(2)) == Finding(Verdict.CREATED, cursor)


def test_dropping_what_was_never_sent_needs_nothing() -> None:
    board, cursor = CursorBoard(), Cursor(b"/a", 1)
    assert board.drop(cursor) is None
    board.creating(cursor)
    assert board.judge(created(1)) == Finding(Verdict.CREATED, cursor)


class AgainstAServer(RuleBasedStateMachine):
    """A server that answers in order, whenever it likes; a client that drops watches at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.board = CursorBoard()
        self.unanswered: deque[Cursor] = deque()
        self.watches: dict[int, Cursor] = {}
        """What the server sends events for: also what the client has dropped, until it cancels it."""
        self.wanted: dict[Cursor, None] = {}
        self.ids = itertools.count()
        self.revision = 10

    @rule()
    def create(self) -> None:
        cursor = Cursor(b"/k", 1)
        self.board.creating(cursor)
        self.unanswered.append(cursor)
        self.wanted[cursor] = None

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        cursor = data.draw(st.sampled_from(list(self.wanted)))
        self.wanted.pop(cursor, None)
        watch_id = self.board.drop(cursor)
        if cursor in self.unanswered:
            assert watch_id is None
        else:
            assert watch_id is not None
            assert self.watches[watch_id] is cursor

    @precondition(lambda self: self.unanswered)
    @rule()
    def answer_a_creation(self) -> None:
        cursor, watch_id = self.unanswered.popleft(), next(self.ids)
        self.watches[watch_id] = cursor
        answer = self.board.judge(created(watch_id))
        assert answer == (Finding(Verdict.CREATED, cursor) if cursor in self.wanted else watch_id)

    @precondition(lambda self: self.unanswered)
    @rule()
    def refuse_a_creation(self) -> None:
        cursor = self.unanswered.popleft()
        answer = self.board.judge(refused_creation())
        assert answer == (Finding(Verdict.REFUSED, cursor, refusal=REFUSAL) if cursor in self.wanted else None)
        self.wanted.pop(cursor, None)

    @precondition(lambda self: self.watches)
    @rule(data=st.data())
    def send_an_event(self, data: st.DataObject) -> None:
        watch_id = data.draw(st.sampled_from(sorted(self.watches)))
        cursor = self.watches[watch_id]
        self.revision += 1
        answer = self.board.judge(events(watch_id, put(self.revision)))
        wanted = Finding(Verdict.EVENTS, cursor, (put(self.revision),))
        assert answer == (wanted if cursor in self.wanted else None)

    @precondition(lambda self: self.watches)
    @rule(data=st.data(), compacted=st.booleans())
    def cancel_a_watch(self, data: st.DataObject, compacted: bool) -> None:
        watch_id = data.draw(st.sampled_from(sorted(self.watches)))
        cursor = self.watches.pop(watch_id)
        answer = self.board.judge(WatchReply(watch_id, 100, canceled=True, compact_revision=5 if compacted else 0))
        wanted = Finding(Verdict.COMPACTED if compacted else Verdict.REFUSED, cursor)
        assert answer == (wanted if cursor in self.wanted else None)
        self.wanted.pop(cursor, None)

    @invariant()
    def it_keeps_what_is_wanted_or_unanswered_and_nothing_else(self) -> None:
        assert len(self.board) == len(self.wanted.keys() | set(self.unanswered))


TestAgainstAServer = AgainstAServer.TestCase
