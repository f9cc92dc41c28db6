"""Which member is asked next: one that failed rests, and whom the user named is never forgotten."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aioelection._core.endpoints import Endpoint
from aioelection._core.roster import Health, Roster

A, B, C, D, E, F = ALL = tuple(Endpoint(host, 2379) for host in "abcdef")


def rest(roster: Roster, endpoint: Endpoint, now: float) -> float:
    """Let it fail; returns for how long it rests."""
    roster.failed(endpoint, now)
    return roster.health(endpoint).resting_until - now


# In use


def test_the_first_is_used_first() -> None:
    roster = Roster([A, B, C])
    assert roster.current == A
    assert list(roster) == [A, B, C]
    assert len(roster) == 3
    assert roster.resting() == []
    assert roster.health(A) == Health(failures=0, resting_until=float("-inf"), member_id=0)


def test_it_keeps_its_own_line() -> None:
    given_line = [A, B]
    roster = Roster(given_line)
    given_line.clear()
    assert roster.update([]) == [], "nor does it forget whom the user named"
    assert list(roster) == [A, B]


def test_one_that_fails_gives_way_to_the_next_in_turn() -> None:
    roster = Roster([A, B, C])
    roster.failed(A, 0.0)
    assert roster.current == B
    roster.failed(B, 0.0)
    assert roster.current == C


def test_one_failure_told_twice_costs_the_next_one_nothing() -> None:
    """Each stream to a member tells of its end: only the first of them moves on."""
    roster = Roster([A, B, C])
    roster.failed(A, 0.0)
    roster.failed(A, 0.0)
    assert roster.current == B


def test_a_failure_elsewhere_does_not_move_the_one_in_use() -> None:
    roster = Roster([A, B, C])
    roster.failed(B, 0.0)
    assert roster.current == A
    assert roster.resting() == [B]


def test_a_single_one_stays() -> None:
    roster = Roster([A])
    roster.failed(A, 0.0)
    assert roster.current == A
    assert roster.another([A], 0.0) == A


def test_the_preferred_is_used_and_the_line_stays() -> None:
    roster = Roster([A, B, C])
    roster.prefer(C)
    assert roster.current == C
    assert list(roster) == [A, B, C]


def test_one_that_is_not_known_changes_nothing() -> None:
    """A connection may outlive its endpoint's place on the roster."""
    roster = Roster([A, B])
    roster.prefer(C)
    roster.failed(C, 0.0)
    roster.answered(C, 7)
    assert roster.current == A
    assert list(roster) == [A, B]
    assert roster.resting() == []
    assert roster.health(C) == Health()


def test_a_round_over_the_line_is_not_disturbed_by_an_update() -> None:
    roster = Roster([A])
    roster.update([B, C])
    asked = []
    for each in roster:
        asked.append(each)
        roster.update([D])
    assert asked == [A, B, C]


# Resting


def test_it_rests_twice_as_long_after_each_failure_up_to_eight_seconds() -> None:
    roster = Roster([A, B])
    assert [rest(roster, A, now) for now in (0.0, 100.0, 100.1, 300.0, 400.0, 500.0)] == pytest.approx(
        [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    )
    assert roster.health(A).failures == 6
    assert roster.resting() == [A]


def test_it_may_fail_for_ever() -> None:
    roster = Roster([A, B])
    for _ in range(3000):
        roster.failed(A, 0.0)
    assert rest(roster, A, 0.0) == 8.0


def test_an_answer_ends_the_rest_and_tells_the_member() -> None:
    roster = Roster([A, B])
    for _ in range(4):
        roster.failed(B, 0.0)
    roster.answered(B, 7)
    assert roster.resting() == []
    assert roster.health(B) == Health(failures=0, resting_until=float("-inf"), member_id=7)
    assert rest(roster, B, 10.0) == 0.5, "the count begins anew"
    assert roster.health(B).member_id == 7, "who answered there last is still known"


def test_an_answer_does_not_change_which_is_in_use() -> None:
    roster = Roster([A, B])
    roster.answered(B, 7)
    assert roster.current == A


def test_one_that_rests_is_passed_over_until_its_rest_is_over() -> None:
    roster = Roster([A, B, C])
    roster.failed(B, 0.0)
    assert roster.another([A], 0.499) == C
    assert roster.another([A], 0.5) == B


def test_where_all_rest_the_one_that_rests_the_shortest_is_asked_at_once() -> None:
    roster = Roster([A, B, C, D])
    roster.failed(D, 0.1)
    roster.failed(B, 0.2)
    roster.failed(C, 0.0)
    assert roster.another([A], 0.3) == C


def test_those_whose_rest_is_over_are_equals() -> None:
    """In turn, whoever has rested longer."""
    roster = Roster([A, B, C])
    roster.failed(C, 0.0)
    roster.failed(B, 1.0)
    assert roster.another([A], 10.0) == B


def test_resting_is_told_until_it_answers_not_until_its_rest_is_over() -> None:
    roster = Roster([A, B, C])
    roster.failed(C, 0.0)
    roster.failed(B, 0.0)
    assert roster.resting() == [B, C]
    assert roster.another([A], 100.0) == B
    assert roster.resting() == [B, C]


# Whom to ask beside


def test_beside_one_the_next_in_turn_after_the_one_in_use() -> None:
    roster = Roster([A, B, C, D])
    assert roster.another([A], 0.0) == B
    assert roster.another([A, B], 0.0) == C
    roster.prefer(C)
    assert roster.another([C], 0.0) == D
    assert roster.another([C, D], 0.0) == A
    assert roster.another([A, C, D], 0.0) == B
    assert roster.current == C, "asking beside moves nothing"


def test_beside_nobody_it_is_the_next_but_the_one_in_use_is_the_last() -> None:
    roster = Roster([A, B])
    assert roster.another([], 0.0) == B
    roster.failed(B, 0.0)
    assert roster.another([], 0.0) == A


def test_an_endpoint_of_the_same_member_is_passed_over() -> None:
    """A name and an address may lead to one member, and a frozen one does not thaw for being asked by another name."""
    roster = Roster([A, B, C])
    roster.answered(A, 7)
    roster.answered(B, 7)
    roster.answered(C, 8)
    assert roster.another([A], 0.0) == C
    assert roster.another([C], 0.0) == B
    assert roster.another([A, C], 0.0) == B, "where there is no other"
    roster.failed(A, 0.0)
    assert roster.current == C


def test_members_that_are_not_known_are_not_the_same() -> None:
    roster = Roster([A, B, C])
    roster.answered(C, 7)
    assert roster.another([A], 0.0) == B


def test_another_member_that_rests_comes_before_the_same_member() -> None:
    roster = Roster([A, B, C])
    roster.answered(A, 7)
    roster.answered(B, 7)
    roster.failed(C, 0.0)
    assert roster.another([A], 0.0) == C


def test_one_that_rests_comes_before_one_that_is_busy() -> None:
    roster = Roster([A, B])
    roster.answered(A, 7)
    roster.answered(B, 7)
    roster.failed(B, 0.0)
    assert roster.another([A], 0.0) == B


def test_where_all_are_busy_the_best_of_them_is_asked_again() -> None:
    roster = Roster([A, B, C])
    roster.failed(B, 0.0)
    assert roster.another([A, B, C], 0.0) == C
    assert roster.another([A, B, C], 0.6) == B


def test_a_busy_one_that_is_not_known_any_more_is_nobody() -> None:
    roster = Roster([A, B])
    assert roster.another([A, D], 0.0) == B


# What the cluster tells


def test_learnt_ones_come_after_those_that_were_named() -> None:
    roster = Roster([B, A])
    assert roster.update([C, A, D]) == []
    assert list(roster) == [B, A, C, D]
    assert roster.current == B


def test_those_that_the_cluster_does_not_name_any_more_are_forgotten_but_not_those_that_the_user_named() -> None:
    roster = Roster([A, B])
    roster.update([B, C, D, E])
    assert roster.update([D]) == [C, E]
    assert list(roster) == [A, B, D]
    assert roster.update([]) == [D]
    assert list(roster) == [A, B]
    assert roster.update([]) == []


def test_what_is_known_of_those_that_stay_is_kept() -> None:
    roster = Roster([A])
    roster.update([B])
    roster.answered(A, 7)
    roster.failed(B, 0.0)
    roster.update([B, C])
    assert roster.health(A).member_id == 7
    assert roster.resting() == [B]


def test_what_was_known_of_a_forgotten_one_is_forgotten() -> None:
    roster = Roster([A])
    roster.update([B])
    roster.failed(B, 0.0)
    roster.update([])
    roster.update([B])
    assert roster.resting() == []


def test_one_that_is_in_use_stays_so_while_it_is_known() -> None:
    roster = Roster([A])
    roster.update([B, C])
    roster.prefer(B)
    roster.update([C, B])
    assert roster.current == B
    roster.update([C])
    assert roster.current == A


# Whatever happens


def expected(roster: Roster, line: list[Endpoint], busy: Collection[Endpoint], now: float) -> Endpoint:
    """Passed over step by step, each rule only where it leaves anybody."""
    start = line.index(roster.current) + 1
    left = line[start:] + line[:start]
    left = [each for each in left if each not in busy] or left
    members = {roster.health(each).member_id for each in busy if each in line and roster.health(each).member_id}
    left = [each for each in left if roster.health(each).member_id not in members] or left
    fresh = [each for each in left if roster.health(each).resting_until <= now]
    return fresh[0] if fresh else min(left, key=lambda each: roster.health(each).resting_until)


class WhateverHappens(RuleBasedStateMachine):
    """Endpoints fail, answer, come and go, while the clock goes on."""

    @initialize(count=st.integers(1, 3))
    def start(self, count: int) -> None:
        self.named = list(ALL[:count])
        self.line = list(self.named)
        self.roster = Roster(self.named)
        self.failures = dict.fromkeys(self.line, 0)
        self.until = dict.fromkeys(self.line, float("-inf"))
        self.now = 0.0

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(endpoint=st.sampled_from(ALL))
    def fail(self, endpoint: Endpoint) -> None:
        before = self.roster.current
        self.roster.failed(endpoint, self.now)
        if endpoint in self.line:
            self.until[endpoint] = self.now + min(8.0, 0.5 * 2 ** self.failures[endpoint])
            self.failures[endpoint] += 1
        if endpoint != before:
            assert self.roster.current == before
        elif len(self.line) > 1:
            assert self.roster.current != before

    @rule(endpoint=st.sampled_from(ALL), member_id=st.integers(0, 3))
    def answer(self, endpoint: Endpoint, member_id: int) -> None:
        before = self.roster.current
        self.roster.answered(endpoint, member_id)
        assert self.roster.current == before
        if endpoint in self.line:
            self.failures[endpoint] = 0
            self.until[endpoint] = float("-inf")
            assert self.roster.health(endpoint).member_id == member_id

    @rule(endpoint=st.sampled_from(ALL))
    def prefer(self, endpoint: Endpoint) -> None:
        before = self.roster.current
        self.roster.prefer(endpoint)
        assert self.roster.current == (endpoint if endpoint in self.line else before)

    @rule(learnt=st.lists(st.sampled_from(ALL)))
    def learn(self, learnt: list[Endpoint]) -> None:
        before = self.roster.current
        gone = self.roster.update(learnt)
        assert gone == [each for each in self.line if each not in learnt and each not in self.named]
        self.line = [each for each in self.line if each not in gone]
        self.line += [each for each in dict.fromkeys(learnt) if each not in self.line]
        self.failures = {each: self.failures.get(each, 0) for each in self.line}
        self.until = {each: self.until.get(each, float("-inf")) for each in self.line}
        assert self.roster.current == (before if before in self.line else self.named[0])

    @rule(busy=st.sets(st.sampled_from(ALL)))
    def ask_another(self, busy: set[Endpoint]) -> None:
        before = self.roster.current
        assert self.roster.another(busy, self.now) == expected(self.roster, self.line, busy, self.now)
        assert self.roster.current == before

    @invariant()
    def everybody_s_health_is_what_they_met(self) -> None:
        assert list(self.roster) == self.line
        assert len(self.roster) == len(self.line)
        assert self.roster.current in self.line
        assert self.roster.resting() == [each for each in self.line if self.failures[each]]
        for each in self.line:
            assert self.roster.health(each).failures == self.failures[each]
            assert self.roster.health(each).resting_until == pytest.approx(self.until[each])


TestWhateverHappens = WhateverHappens.TestCase


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_everybody_gets_a_turn_while_all_fail(member_ids: list[int]) -> None:
    """Whichever endpoints lead to one member."""
    line = ALL[: len(member_ids)]
    roster = Roster(line)
    for endpoint, member_id in zip(line, member_ids, strict=True):
        roster.answered(endpoint, member_id)
    turns = set()
    for _ in range(2 * len(line)):
        turns.add(roster.current)
        roster.failed(roster.current, 0.0)
    assert turns == set(line)
