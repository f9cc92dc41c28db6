"""An agenda is a set of items and the time that each is due at, now: however often that time has moved."""

import sys

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aioelection._core.agenda import Agenda

INFINITY = float("inf")

items = st.sampled_from("abcdef")
times = st.integers(0, 60).map(float)
spans = st.integers(0, 30).map(float)


class AgainstAPlainModel(RuleBasedStateMachine):
    """The model: a dict of times, searched from end to end. An item due at infinity is on neither."""

    def __init__(self) -> None:
        super().__init__()
        self.time_of = dict.fromkeys("abcdef", INFINITY)
        self.listed: set[str] = set()
        self.agenda: Agenda[str] = Agenda(self.time_of.__getitem__)

    def earliest(self) -> float | None:
        return min((self.time_of[item] for item in self.listed), default=None)

    @rule(item=items, when=times)
    def add(self, item: str, when: float) -> None:
        """Also where it is listed already, at another time."""
        self.time_of[item] = when
        self.agenda.add(item)
        self.listed.add(item)

    @rule(item=items)
    def add_again_unchanged(self, item: str) -> None:
        self.agenda.add(item)
        if self.time_of[item] < INFINITY:
            self.listed.add(item)

    @rule(item=items, span=spans)
    def move_later_without_a_word(self, item: str, span: float) -> None:
        self.time_of[item] += span

    @rule(item=items, span=spans)
    def move_earlier(self, item: str, span: float) -> None:
        self.time_of[item] -= span
        if item in self.listed:
            self.agenda.add(item)

    @rule(item=items)
    def suspend(self, item: str) -> None:
        self.time_of[item] = INFINITY
        self.listed.discard(item)

    @rule(item=items)
    def discard(self, item: str) -> None:
        self.agenda.discard(item)
        self.listed.discard(item)

    @rule(now=times)
    def take_due(self, now: float) -> None:
        taken = self.agenda.take_due(now)
        assert sorted(taken) == sorted(item for item in self.listed if self.time_of[item] <= now)
        assert [self.time_of[item] for item in taken] == sorted(self.time_of[item] for item in taken)
        self.listed.difference_update(taken)

    @invariant()
    def next_is_the_earliest(self) -> None:
        assert self.agenda.next() == self.earliest()

    @invariant()
    def no_more_is_listed_than_was_added(self) -> None:
        suspended = sum(when == INFINITY for when in self.time_of.values())
        assert len(self.listed) <= len(self.agenda) <= len(self.listed) + suspended


TestAgainstAPlainModel = AgainstAPlainModel.TestCase


def test_an_empty_agenda_has_nothing_due() -> None:
    agenda: Agenda[str] = Agenda(lambda _: 0.0)
    assert agenda.next() is None
    assert agenda.take_due(1e9) == []
    assert len(agenda) == 0


def test_an_item_is_due_at_its_very_time() -> None:
    agenda: Agenda[str] = Agenda(lambda _: 5.0)
    agenda.add("a")
    assert agenda.take_due(4.999) == []
    assert agenda.take_due(5.0) == ["a"]


def test_an_item_is_taken_once() -> None:
    agenda: Agenda[str] = Agenda(lambda _: 5.0)
    agenda.add("a")
    agenda.add("a")
    assert len(agenda) == 1
    assert agenda.take_due(5.0) == ["a"]
    assert agenda.take_due(5.0) == []
    assert len(agenda) == 0


def test_an_item_moved_earlier_is_not_taken_again_at_its_old_time() -> None:
    time_of = {"a": 9.0}
    agenda = Agenda(time_of.__getitem__)
    agenda.add("a")
    time_of["a"] = 3.0
    agenda.add("a")
    assert agenda.take_due(3.0) == ["a"]
    assert agenda.take_due(9.0) == []


def test_items_of_one_time_need_no_order_of_their_own() -> None:
    first, second = object(), object()
    agenda: Agenda[object] = Agenda(lambda _: 1.0)
    agenda.add(first)
    agenda.add(second)
    assert agenda.take_due(1.0) == [first, second]


def test_an_item_that_is_due_never_is_not_listed() -> None:
    agenda: Agenda[str] = Agenda(lambda _: INFINITY)
    agenda.add("a")
    assert len(agenda) == 0
    assert agenda.next() is None


def test_an_item_that_came_to_be_due_never_leaves_when_it_comes_up() -> None:
    time_of = {"a": 3.0}
    agenda = Agenda(time_of.__getitem__)
    agenda.add("a")
    time_of["a"] = INFINITY
    assert agenda.take_due(3.0) == []
    assert len(agenda) == 0


def test_moving_an_item_later_many_times_costs_one_look() -> None:
    """Ten thousand leases are renewed all the time; what is paid for is the wake-up, not the renewal."""
    asked = 0
    when = 0.0

    def due(_: str) -> float:
        nonlocal asked
        asked += 1
        return when

    agenda: Agenda[str] = Agenda(due)
    agenda.add("a")
    for when in range(1, 1001):  # noqa: B007 (read by due)
        pass
    asked = 0
    assert agenda.next() == 1000
    assert asked <= 3


def test_an_item_added_again_and_again_at_later_times_is_kept_once() -> None:
    item, when = object(), 0.0
    agenda: Agenda[object] = Agenda(lambda _: when)
    agenda.add(item)
    kept = sys.getrefcount(item)
    for later in range(1, 1001):
        when = float(later)
        agenda.add(item)
    assert sys.getrefcount(item) == kept
    assert agenda.take_due(999.0) == []
    assert agenda.take_due(1000.0) == [item]


def kept(items: list[object]) -> int:
    """How many of them somebody has beside that list."""
    alone = object()
    counts = [sys.getrefcount(each) for each in [alone, *items]]
    return sum(count > counts[0] for count in counts[1:])


def test_what_is_taken_off_is_let_go_long_before_its_time() -> None:
    """Leases of years that come and go must not be kept for years."""
    items = [object() for _ in range(1000)]
    agenda: Agenda[object] = Agenda(lambda _: 1e9)
    for item in items:
        agenda.add(item)
        agenda.discard(item)
    del item
    assert kept(items) <= 17
    assert len(agenda) == 0
    assert agenda.next() is None


def test_among_many_that_stay_most_of_what_is_taken_off_is_let_go_too() -> None:
    items = [object() for _ in range(1000)]
    agenda: Agenda[object] = Agenda(lambda _: 1e9)
    for item in items:
        agenda.add(item)
    assert kept(items) == 1000
    for item in items[100:]:
        agenda.discard(item)
    del item, items[:100]
    assert kept(items) <= 117
    assert len(agenda) == 100


def test_letting_go_is_not_paid_at_each_discard() -> None:
    """A thousand leases that stay, and one after another that goes: what is paid is a share, not all of them."""
    compared = 0

    class Time(float):
        def __lt__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float.__lt__(self, other)

    agenda: Agenda[int] = Agenda(Time)
    for item in range(1000):
        agenda.add(item)
    compared = 0
    for item in range(1000, 1100):
        agenda.add(item)
        agenda.discard(item)
    assert compared < 2000


def test_what_stays_keeps_its_order_and_its_time_when_the_rest_is_let_go() -> None:
    time_of = {number: float(1000 - number) for number in range(100)}
    agenda = Agenda(time_of.__getitem__)
    for number in time_of:
        agenda.add(number)
    time_of[95] = 2000.0
    for number in range(90):
        agenda.discard(number)
    assert agenda.next() == 901.0
    assert agenda.take_due(1999.0) == [99, 98, 97, 96, 94, 93, 92, 91, 90]
    assert agenda.take_due(2000.0) == [95]


def test_items_of_one_time_stay_in_the_order_in_which_they_came_when_the_rest_is_let_go() -> None:
    agenda: Agenda[int] = Agenda(lambda _: 1.0)
    for number in range(100):
        agenda.add(number)
    for number in range(0, 100, 2):
        agenda.discard(number)
    for number in range(1, 80, 2):
        agenda.discard(number)
    assert agenda.take_due(1.0) == list(range(81, 100, 2))


def test_taking_off_what_is_not_on_changes_nothing() -> None:
    agenda: Agenda[str] = Agenda(lambda _: 5.0)
    agenda.add("a")
    for _ in range(100):
        agenda.discard("b")
    assert agenda.take_due(5.0) == ["a"]


def test_what_was_taken_off_may_be_added_again() -> None:
    agenda: Agenda[str] = Agenda(lambda _: 5.0)
    for _ in range(100):
        agenda.add("a")
        agenda.discard("a")
    agenda.add("a")
    assert agenda.take_due(5.0) == ["a"]
    assert agenda.take_due(5.0) == []
