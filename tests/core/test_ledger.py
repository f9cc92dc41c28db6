"""An acknowledgement counts only once a request sent after its arrival is answered in the same Raft term."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aioelection._core.ledger import Acknowledgement, Ledger

OLD, NEW = 4, 5
"""Raft terms."""


def sent_times(proven: list[tuple[str, Acknowledgement]]) -> dict[str, float]:
    """When the proven renewal of each lease was sent."""
    assert len({lease for lease, _ in proven}) == len(proven)
    return {lease: each.sent for lease, each in proven}


def test_a_request_sent_after_its_arrival_and_answered_in_its_term_proves_it() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.asking()
    ledger.hold("a", 10.0, 60, NEW)
    number = ledger.asking()
    proven, disproven = ledger.answered(number, NEW)
    assert proven == [("a", Acknowledgement(sent=10.0, ttl=60, raft_term=NEW, after=1))]
    assert disproven == []
    assert len(ledger) == 0


def test_a_request_under_way_at_its_arrival_proves_nothing() -> None:
    """Its answer may have been made while another led, and only come late."""
    ledger: Ledger[str] = Ledger()
    number = ledger.asking()
    ledger.hold("a", 10.0, 60, NEW)
    assert ledger.answered(number, NEW) == ([], [])
    assert len(ledger) == 1, "it waits on"
    assert sent_times(ledger.answered(ledger.asking(), NEW)[0]) == {"a": 10.0}


def test_a_request_under_way_at_its_arrival_disproves_nothing_either() -> None:
    ledger: Ledger[str] = Ledger()
    number = ledger.asking()
    ledger.hold("a", 10.0, 60, NEW)
    assert ledger.answered(number, OLD) == ([], [])
    assert len(ledger) == 1


def test_answers_may_come_in_any_order() -> None:
    ledger: Ledger[str] = Ledger()
    early = ledger.asking()
    ledger.hold("a", 10.0, 60, NEW)
    late = ledger.asking()
    ledger.hold("b", 11.0, 60, NEW)
    assert sent_times(ledger.answered(late, NEW)[0]) == {"a": 10.0}
    assert ledger.answered(early, NEW) == ([], [])
    assert list(sent_times(ledger.answered(ledger.asking(), NEW)[0])) == ["b"]


def test_no_two_requests_have_one_number() -> None:
    ledger: Ledger[str] = Ledger()
    numbers = [ledger.asking() for _ in range(10)]
    assert numbers == sorted(set(numbers))


def test_a_number_that_was_never_given_proves_nothing() -> None:
    """0: the request of one who had no ledger yet."""
    ledger: Ledger[str] = Ledger()
    ledger.hold("a", 10.0, 60, NEW)
    assert ledger.answered(0, NEW) == ([], [])
    assert len(ledger) == 1


@pytest.mark.parametrize(("acknowledged", "answered"), [(OLD, NEW), (NEW, OLD)])
def test_another_term_disproves_it_for_good(acknowledged: int, answered: int) -> None:
    ledger: Ledger[str] = Ledger()
    ledger.hold("a", 10.0, 60, acknowledged)
    assert ledger.answered(ledger.asking(), answered) == ([], ["a"])
    assert len(ledger) == 0
    assert ledger.answered(ledger.asking(), acknowledged) == ([], []), "not even by its own term, later"


def test_nothing_is_proven_twice() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.hold("a", 10.0, 60, NEW)
    first, second = ledger.asking(), ledger.asking()
    assert sent_times(ledger.answered(second, NEW)[0]) == {"a": 10.0}
    for number in (first, second, ledger.asking()):
        assert ledger.answered(number, NEW) == ([], [])


def test_one_answer_proves_all_leases() -> None:
    ledger: Ledger[str] = Ledger()
    for number, lease in enumerate("abc"):
        ledger.hold(lease, float(number), 60, OLD if lease == "b" else NEW)
    proven, disproven = ledger.answered(ledger.asking(), NEW)
    assert sent_times(proven) == {"a": 0.0, "c": 2.0}
    assert disproven == ["b"]


@pytest.mark.parametrize("times", [(10.0, 12.0, 11.0), (12.0, 11.0, 10.0), (10.0, 11.0, 12.0)])
def test_of_several_the_latest_sent_is_proven(times: tuple[float, ...]) -> None:
    ledger: Ledger[str] = Ledger()
    for sent in times:
        ledger.hold("a", sent, 60, NEW)
    proven, disproven = ledger.answered(ledger.asking(), NEW)
    assert [(lease, each.sent) for lease, each in proven] == [("a", 12.0)]
    assert disproven == []
    assert ledger.answered(ledger.asking(), NEW) == ([], [])


def test_a_lease_acknowledged_in_two_terms_is_proven_by_the_one_and_disproven_by_the_other() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.hold("a", 10.0, 60, NEW)
    ledger.hold("a", 11.0, 60, OLD)
    proven, disproven = ledger.answered(ledger.asking(), NEW)
    assert sent_times(proven) == {"a": 10.0}, "not the later one, which is of another term"
    assert disproven == ["a"]


def test_what_arrives_after_the_request_waits_for_the_next() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.hold("a", 10.0, 60, NEW)
    number = ledger.asking()
    ledger.hold("a", 11.0, 60, NEW)
    assert sent_times(ledger.answered(number, NEW)[0]) == {"a": 10.0}
    assert len(ledger) == 1
    assert sent_times(ledger.answered(ledger.asking(), NEW)[0]) == {"a": 11.0}
    assert len(ledger) == 0


def test_a_dropped_lease_is_neither_proven_nor_disproven() -> None:
    ledger: Ledger[str] = Ledger()
    for lease in "ab":
        ledger.hold(lease, 10.0, 60, NEW)
        ledger.hold(lease, 11.0, 60, OLD)
    ledger.drop("a")
    ledger.drop("never held")
    assert len(ledger) == 1
    assert ledger.oldest() == "b"
    proven, disproven = ledger.answered(ledger.asking(), NEW)
    assert sent_times(proven) == {"b": 10.0}
    assert disproven == ["b"]


def test_a_dropped_lease_may_be_held_again() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.hold("a", 10.0, 60, NEW)
    ledger.drop("a")
    ledger.hold("a", 5.0, 60, NEW)
    assert sent_times(ledger.answered(ledger.asking(), NEW)[0]) == {"a": 5.0}


def test_the_oldest_is_a_lease_that_waits_for_proof() -> None:
    ledger: Ledger[str] = Ledger()
    assert ledger.oldest() is None
    ledger.hold("a", 12.0, 60, NEW)
    ledger.hold("b", 10.0, 60, NEW)
    ledger.hold("a", 13.0, 60, NEW)
    assert ledger.oldest() == "a"
    assert len(ledger) == 2
    ledger.drop("a")
    assert ledger.oldest() == "b"
    ledger.answered(ledger.asking(), NEW)
    assert ledger.oldest() is None


def test_an_acknowledgement_cannot_be_changed() -> None:
    acknowledgement = Acknowledgement(10.0, 60, NEW, 0)
    with pytest.raises(FrozenInstanceError):
        acknowledgement.sent = 20.0  # type: ignore[misc]


# Soundness


@dataclass
class Arrived:
    """What the model knows of an acknowledgement: everything."""

    lease: str
    sent: float
    ttl: int
    raft_term: int
    moment: int


leases = st.sampled_from("abc")
raft_terms = st.integers(3, 5)


class AgainstAHistory(RuleBasedStateMachine):
    """The model numbers every event, and so knows what came before what; it has no numbers of requests.

    Requests are answered in any order, again, or never; renewals are acknowledged in any order of their sending.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[str] = Ledger()
        self.moment = 0
        self.asked: dict[int, int] = {}
        """The moment at which each request was sent."""
        self.waiting: list[Arrived] = []
        self.told: set[float] = set()
        """The times of sending, none of which is used twice, that have been proven or disproven."""

    @rule()
    def ask(self) -> None:
        self.moment += 1
        self.asked[self.ledger.asking()] = self.moment

    @rule(lease=leases, sent=st.integers(0, 20), ttl=st.integers(1, 60), raft_term=raft_terms)
    def acknowledge(self, lease: str, sent: int, ttl: int, raft_term: int) -> None:
        self.moment += 1
        arrived = Arrived(lease, sent + self.moment / 1e6, ttl, raft_term, self.moment)
        self.waiting.append(arrived)
        self.ledger.hold(lease, arrived.sent, ttl, raft_term)

    @rule(lease=leases)
    def drop(self, lease: str) -> None:
        self.ledger.drop(lease)
        self.waiting = [each for each in self.waiting if each.lease != lease]

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), raft_term=raft_terms)
    def answer(self, data: st.DataObject, raft_term: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.asked)), "number")
        proven, disproven = self.ledger.answered(number, raft_term)

        judged = [each for each in self.waiting if each.moment < self.asked[number]]
        good = [each for each in judged if each.raft_term == raft_term]
        latest = {each.lease: each for each in sorted(good, key=lambda each: each.sent)}
        assert {lease: (each.sent, each.ttl, each.raft_term) for lease, each in proven} == {
            lease: (each.sent, each.ttl, each.raft_term) for lease, each in latest.items()
        }
        assert len(proven) == len(latest)
        assert sorted(disproven) == sorted({each.lease for each in judged if each.raft_term != raft_term})

        assert not self.told & {each.sent for _, each in proven}, "nothing is proven twice, or after it was disproven"
        self.told |= {each.sent for each in judged}
        self.waiting = [each for each in self.waiting if each not in judged]

    @invariant()
    def it_holds_what_waits(self) -> None:
        held = {each.lease for each in self.waiting}
        assert len(self.ledger) == len(held)
        oldest = self.ledger.oldest()
        assert oldest in held if held else oldest is None


TestAgainstAHistory = AgainstAHistory.TestCase
