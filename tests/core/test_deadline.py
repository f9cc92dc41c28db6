"""A lease is believed until S + T(1 - 0.005) - 0.1 s, S the time of sending; and never again once that has passed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aioelection._core.deadline import (
    FOREVER,
    NEVER,
    Deadline,
    attempt_timeout,
    believed_until,
    renewal_interval,
)

ttls = st.integers(1, 100)
longest_ttls = st.integers(1, 9_000_000_000)
clock_readings = st.floats(0, 1e9)


def bound(sent: float, ttl: int) -> float:
    """Design rule 1, in figures of its own."""
    return sent + 0.995 * ttl - 0.1


def granted(ttl: int = 10, sent: float = 100.0) -> Deadline:
    deadline = Deadline()
    deadline.granted(sent, ttl)
    return deadline


# Belief


@given(clock_readings, longest_ttls)
def test_a_grant_is_believed_from_its_sending_shortened_by_the_rate_error_and_the_margin(sent: float, ttl: int) -> None:
    assert believed_until(sent, ttl) == pytest.approx(bound(sent, ttl), rel=1e-12)
    assert granted(ttl, sent).at == believed_until(sent, ttl)


@given(clock_readings, longest_ttls, st.floats(0.995, 1.005))
def test_belief_ends_before_the_lease_by_a_clock_that_runs_wrong_by_half_a_percent(
    sent: float, ttl: int, rate: float
) -> None:
    """etcd counts T true seconds from no earlier than the sending; ours shows ``rate`` seconds for each of them."""
    true_seconds = (believed_until(sent, ttl) - sent) / rate
    assert true_seconds < ttl


def test_nothing_is_believed_before_a_grant() -> None:
    deadline = Deadline()
    assert deadline.expired(0.0)
    assert deadline.expired(-1e9)
    assert deadline.remaining(0.0) == 0.0
    assert deadline.at == NEVER
    assert deadline.next_renewal == FOREVER
    assert not deadline.acknowledged(0.0, 10, 0.0), "an acknowledgement is no grant"
    assert deadline.expired(0.0)


def test_a_grant_that_is_answered_after_its_time_gives_nothing() -> None:
    deadline = granted(ttl=2, sent=100.0)
    assert deadline.expired(101.9)
    assert not deadline.acknowledged(101.0, 2, 101.9)


def test_the_deadline_itself_is_too_late() -> None:
    deadline = granted()
    assert not deadline.expired(math.nextafter(deadline.at, 0))
    assert deadline.expired(deadline.at)


def test_remaining_counts_down_to_0_and_no_further() -> None:
    deadline = granted()
    assert deadline.remaining(100.0) == pytest.approx(9.85)
    assert deadline.remaining(deadline.at) == 0.0
    assert deadline.remaining(200.0) == 0.0


def test_an_acknowledgement_extends_from_its_sending_not_its_arrival() -> None:
    deadline = granted()
    assert deadline.acknowledged(103.0, 10, 108.0)
    assert deadline.at == believed_until(103.0, 10)


def test_an_acknowledgement_of_an_earlier_sending_extends_nothing() -> None:
    deadline = granted()
    assert deadline.acknowledged(106.0, 10, 106.1)
    assert deadline.acknowledged(103.0, 10, 106.2), "it counts, but for less than is known"
    assert deadline.at == believed_until(106.0, 10)


def test_the_ttl_is_what_the_server_said_last() -> None:
    deadline = Deadline()
    assert deadline.ttl == 0
    deadline.granted(100.0, 2)
    assert deadline.ttl == 2
    deadline.acknowledged(101.0, 3, 101.0)
    assert deadline.ttl == 3


@pytest.mark.parametrize("sent", [100.0, 109.0, 500.0])
@pytest.mark.parametrize("late", [0.0, 0.05, 1000.0])
def test_an_acknowledgement_that_is_read_after_the_deadline_revives_nothing(sent: float, late: float) -> None:
    deadline = granted()
    assert not deadline.acknowledged(sent, 10, deadline.at + late)
    assert deadline.expired(100.0), "for good, at whatever time is asked"
    assert deadline.at == NEVER
    assert deadline.next_renewal == FOREVER


def test_expiry_is_final() -> None:
    deadline = granted()
    deadline.expire()
    assert deadline.expired(100.0)
    assert not deadline.acknowledged(100.0, 10, 100.0)
    assert deadline.at == NEVER
    assert deadline.next_renewal == FOREVER


def test_what_has_expired_is_never_due_again() -> None:
    deadline = granted()
    deadline.expire()
    deadline.sending(101.0)
    assert deadline.next_renewal == FOREVER
    deadline.failed(101.0)
    assert deadline.next_renewal == FOREVER
    deadline.answered(101.0)
    assert deadline.next_renewal == FOREVER


# Renewal


@given(longest_ttls)
def test_the_timings_are_a_third_of_the_ttl_and_a_sixth_of_it_up_to_a_second(ttl: int) -> None:
    assert renewal_interval(ttl) == pytest.approx(ttl / 3)
    assert attempt_timeout(ttl) == pytest.approx(min(1.0, ttl / 6))


def test_a_renewal_is_due_a_third_of_the_ttl_after_the_last_sending() -> None:
    deadline = granted(ttl=9, sent=100.0)
    assert deadline.next_renewal == 103.0
    deadline.sending(103.0)
    deadline.acknowledged(103.0, 9, 103.4)
    assert deadline.next_renewal == 106.0


def test_an_unanswered_renewal_is_followed_by_another_after_an_attempt_s_time() -> None:
    deadline = granted(ttl=9)
    deadline.sending(103.0)
    assert deadline.next_renewal == 104.0
    short = granted(ttl=3)
    short.sending(101.0)
    assert short.next_renewal == 101.5


def test_an_answer_is_followed_by_the_next_renewal_in_its_time_before_it_is_proven() -> None:
    deadline = granted(ttl=9)
    deadline.sending(103.0)
    deadline.answered(103.0)
    assert deadline.next_renewal == 106.0, "a third of the TTL after the sending, not an attempt's time"


def test_an_answer_alone_proves_nothing() -> None:
    deadline = granted(ttl=9)
    believed = deadline.at
    deadline.sending(103.0)
    deadline.answered(103.0)
    assert deadline.at == believed
    assert deadline.ttl == 9


def test_what_was_disproven_after_its_answer_is_due_at_once() -> None:
    deadline = granted(ttl=9)
    deadline.sending(103.0)
    deadline.answered(103.0)
    deadline.failed(103.4)
    assert deadline.next_renewal == 103.4


def test_nothing_is_renewed_before_a_grant() -> None:
    deadline = Deadline()
    deadline.answered(100.0)
    assert deadline.next_renewal == FOREVER


def test_a_failed_renewal_is_followed_by_another_at_once() -> None:
    deadline = granted()
    deadline.sending(103.0)
    deadline.failed(103.2)
    assert deadline.next_renewal == 103.2


def test_a_failure_delays_no_renewal_that_is_overdue() -> None:
    deadline = granted(ttl=9)
    deadline.failed(105.0)
    assert deadline.next_renewal == 103.0


def test_a_failure_does_not_change_what_is_believed() -> None:
    deadline = granted()
    deadline.sending(103.0)
    deadline.failed(103.2)
    assert deadline.at == believed_until(100.0, 10)


@given(longest_ttls)
def test_three_renewals_fit_before_the_deadline(ttl: int) -> None:
    """Two may go unanswered: the third still has the time of an attempt, but for the margin."""
    deadline = granted(ttl, sent=0.0)
    sent: list[float] = []
    while deadline.next_renewal < deadline.at and len(sent) < 3:
        sent.append(deadline.next_renewal)
        deadline.sending(deadline.next_renewal)
    assert len(sent) == 3
    assert deadline.acknowledged(sent[2], ttl, math.nextafter(deadline.at, 0))


def test_a_proof_waits_for_others_a_moment_and_less_near_the_end() -> None:
    deadline = granted(10, sent=100.0)
    assert deadline.proof_delay(103.0) == 0.05
    assert deadline.proof_delay(109.45) == pytest.approx(0.02)
    assert deadline.proof_delay(110.0) == 0.0


def test_its_repr_tells_what_is_believed() -> None:
    assert repr(granted()) == "<Deadline at=109.850 ttl=10>"
    assert repr(Deadline()) == "<Deadline at=-inf ttl=0>"


class WhateverArrivesWhenever(RuleBasedStateMachine):
    """Renewals are sent and answered in any order, late, twice or never, while the clock goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.deadline = Deadline()
        self.now = 1000.0
        self.ttl = 0
        self.sent: list[float] = []
        self.believed = True
        self.proof = 0.0
        """The latest sending whose acknowledgement was read in time."""
        self.highest = NEVER

    @initialize(ttl=ttls, answered_after=st.floats(0, 5))
    def grant(self, ttl: int, answered_after: float) -> None:
        self.ttl = ttl
        self.proof = self.now
        self.deadline.granted(self.now, ttl)
        self.sent.append(self.now)
        self.now += answered_after

    def at_the_deadline(self) -> bool:
        return self.now >= bound(self.proof, self.ttl)

    @rule(share=st.floats(0, 0.6))
    def time_passes(self, share: float) -> None:
        self.now += share * self.ttl

    @rule()
    def time_passes_to_the_very_deadline(self) -> None:
        self.now = max(self.now, self.deadline.at)

    @rule()
    def send(self) -> None:
        self.deadline.sending(self.now)
        self.sent.append(self.now)
        if not self.believed:
            assert self.deadline.next_renewal == FOREVER

    @rule()
    def fail(self) -> None:
        self.deadline.failed(self.now)
        if self.believed:
            assert self.deadline.next_renewal <= self.now

    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.sent), "sent")
        in_time = self.believed and self.now < self.deadline.at
        assert self.deadline.acknowledged(sent, self.ttl, self.now) == in_time
        if in_time:
            self.proof = max(self.proof, sent)
            assert self.deadline.next_renewal == sent + renewal_interval(self.ttl)
        else:
            self.believed = False

    @rule(data=st.data())
    def be_answered(self, data: st.DataObject) -> None:
        """An answer that is not proven yet, at any time."""
        sent = data.draw(st.sampled_from(self.sent), "sent")
        before = self.deadline.at
        self.deadline.answered(sent)
        assert self.deadline.at == before
        if self.believed:
            assert self.deadline.next_renewal == sent + renewal_interval(self.ttl)

    @precondition(lambda self: self.now > 1020.0)
    @rule()
    def expire(self) -> None:
        self.deadline.expire()
        self.believed = False

    @invariant()
    def what_is_believed_is_proven(self) -> None:
        if self.believed:
            assert self.deadline.at == pytest.approx(bound(self.proof, self.ttl), rel=1e-12)
        else:
            assert self.deadline.at == NEVER
            assert self.deadline.next_renewal == FOREVER

    @invariant()
    def the_deadline_never_shrinks_while_believed(self) -> None:
        if self.believed:
            assert self.deadline.at >= self.highest
            self.highest = self.deadline.at

    @invariant()
    def expired_and_remaining_agree(self) -> None:
        assert self.deadline.expired(self.now) == (self.now >= self.deadline.at)
        assert self.deadline.expired(self.now) == (self.deadline.remaining(self.now) == 0.0)
        assert self.deadline.remaining(self.now) >= 0.0

    @invariant()
    def an_expired_one_stays_expired(self) -> None:
        if self.deadline.expired(self.now):
            for sent in (self.sent[-1], self.now):
                assert not self.deadline.acknowledged(sent, self.ttl, self.now)
            self.believed = False


TestWhateverArrivesWhenever = WhateverArrivesWhenever.TestCase
