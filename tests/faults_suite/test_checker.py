"""`faults.checker`: what it accuses, and that it accuses of nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from faults.checker import End, Failover, Rule, Verdict, check
from faults.records import (
    Append,
    Believed,
    Ended,
    Fault,
    Final,
    Lost,
    Measured,
    Observed,
    Record,
    Register,
    Run,
    Stall,
    Thaw,
    Truth,
    Won,
)
from tests.faults_suite.simulator import HOWS, TTL, How, Simulation, simulate

# ---------------------------------------------------------------------- by hand

RIGHT: dict[str, Record] = {
    "run": Run(0.0, 1, 2, 1.0, ("a", "b"), {}),
    "a_created": Truth(1.001, 10, 10, deleted=False, lease_id=0xA, who="a"),
    "a_won": Won(1.002, "a", 10),
    "a_believed": Believed("a", 10, 1.01, 3.0),
    "a_appended": Append("a", 10, 0, 1.1, 1.2, "applied"),
    "a_appended_more": Append("a", 10, 1, 1.3, 1.4, "applied"),
    "a_wrote": Register(1.5, "a", 10, 1, guarded=True, accepted=True),
    "a_wrote_unguarded": Register(1.5, "a", 10, 1, guarded=False, accepted=True),
    "a_ended": Ended(3.001, "a", 10),
    "a_lost": Lost(3.002, "a", 10, "resigned"),
    "a_gone": Truth(3.01, 15, 10, deleted=True, lease_id=0, who=""),
    "b_created": Truth(3.02, 16, 16, deleted=False, lease_id=0xB, who="b"),
    "b_won": Won(3.021, "b", 16),
    "b_believed": Believed("b", 16, 3.03, 5.0),
    "b_appended": Append("b", 16, 0, 3.1, 3.2, "applied"),
    "b_wrote": Register(3.5, "b", 16, 0, guarded=True, accepted=True),
    "b_wrote_unguarded": Register(3.5, "b", 16, 0, guarded=False, accepted=True),
    "b_ended": Ended(5.001, "b", 16),
    "b_lost": Lost(5.002, "b", 16, "resigned"),
    "b_gone": Truth(5.01, 20, 16, deleted=True, lease_id=0, who=""),
    "saw_nobody": Observed(0.5, "o", 0),
    "saw_a": Observed(1.1, "o", 10),
    "saw_a_gone": Observed(3.1, "o", 0),
    "saw_b": Observed(3.2, "o", 16),
    "saw_b_gone": Observed(5.1, "o", 0),
    "final": Final(7.0, ((10, 0), (10, 1), (16, 0)), (), 0),
}
"""``a`` leads from 1 to 3 and resigns, ``b`` leads from 3 to 5 and resigns."""


def judged(**changes: Record | None) -> Verdict:
    """Of the right history, with records exchanged, added, or left out (``None``)."""
    return check(each for each in {**RIGHT, **changes}.values() if each is not None)


def rules(**changes: Record | None) -> list[Rule]:
    return [each.rule for each in judged(**changes).violations]


def final(*entries: tuple[int, int], leases: tuple[int, ...] = (), leader_token: int = 0) -> Final:
    return Final(7.0, entries, leases, leader_token)


ALONE: dict[str, Record | None] = {
    **dict.fromkeys(name for name in RIGHT if name.startswith(("b_", "saw_b"))),
    "final": final((10, 0), (10, 1)),
}
"""Without ``b``."""

DELETED = Fault("leader key deleted by a third party", 22, "a", 2.9, 3.01, foreign=True)


def test_what_is_right_is_right() -> None:
    verdict = judged()
    assert verdict.ok
    assert not verdict.warnings
    assert verdict.figures.terms == 2
    assert verdict.figures.appends == {"applied": 3}
    assert verdict.figures.availability == pytest.approx((5.0 - 1.01 - 0.03) / (5.0 - 1.01))
    assert verdict.figures.longest_gap == pytest.approx(0.03)
    assert [(each.end, each.token) for each in verdict.figures.failovers] == [(End.RESIGN, 10)]


def test_beliefs_that_overlap() -> None:
    assert rules(b_believed=Believed("b", 16, 3.0, 5.0)) == []
    assert Rule.EXCLUSION in rules(b_believed=Believed("b", 16, 2.99, 5.0))
    # A single call, in the midst of another's belief.
    assert Rule.EXCLUSION in rules(b_early=Believed("b", 16, 2.0, 2.0))
    # Two terms of the same contender.
    assert Rule.EXCLUSION in rules(b_believed=Believed("a", 16, 2.99, 5.0))
    # Between two intervals of a term it was believed in as well: ``check()`` never comes back.
    halves = {"a_believed": Believed("a", 10, 1.01, 1.5), "a_more": Believed("a", 10, 2.5, 3.0)}
    assert rules(**halves) == []
    assert Rule.EXCLUSION in rules(**halves, b_early=Believed("b", 16, 2.0, 2.1))


def test_all_who_overlap_are_named() -> None:
    verdict = judged(b_believed=Believed("b", 16, 2.0, 5.0), c=Believed("c", 30, 2.5, 2.6))
    pairs = {each.who for each in verdict.violations if each.rule is Rule.EXCLUSION}
    assert pairs == {"a, b", "a, c", "b, c"}


def test_belief_that_outlives_its_key() -> None:
    assert rules(**ALONE, a_lost=None, a_believed=Believed("a", 10, 1.01, 3.01)) == []
    assert rules(**ALONE, a_lost=None, a_believed=Believed("a", 10, 1.01, 3.011)) == [Rule.OUTLIVED]


def test_the_recorder_may_be_told_late_and_what_follows_tells_better() -> None:
    told_late: dict[str, Record | None] = {
        "a_lost": None,
        "a_gone": Truth(4.0, 15, 10, deleted=True, lease_id=0, who=""),
        "b_created": Truth(4.0, 16, 16, deleted=False, lease_id=0xB, who="b"),
        "b_believed": None,
    }
    outlived = Believed("a", 10, 1.01, 3.1)
    # That ``b`` won at 3.021 proves that the key had gone; so does its append that was answered at 3.2.
    assert rules(**told_late, a_believed=outlived) == [Rule.OUTLIVED]
    assert rules(**told_late, a_believed=outlived, b_won=None) == []
    assert rules(**told_late, a_believed=Believed("a", 10, 1.01, 3.21), b_won=None) == [Rule.OUTLIVED]
    assert judged(**told_late).figures.recorder_delay == pytest.approx(4.0 - 3.021)


def test_what_cannot_be_known_is_counted_as_doubtful() -> None:
    expired = Lost(3.0, "a", 10, "expired")
    assert judged(a_lost=expired).figures.doubtful == 1
    assert judged(a_lost=expired, a_believed=Believed("a", 10, 1.01, 2.9)).figures.doubtful == 0
    assert judged().figures.doubtful == 0, "who resigns asks for the deletion after that"


def test_a_strangers_deed_is_noticed_within_a_second() -> None:
    assert rules(**ALONE, a_lost=None, deed=DELETED, a_believed=Believed("a", 10, 1.01, 4.0)) == []
    assert rules(**ALONE, a_lost=None, deed=DELETED, a_believed=Believed("a", 10, 1.01, 4.02)) == [Rule.FOREIGN]


def test_a_strangers_deed_is_noticed_by_the_deadline_while_etcd_is_unwell() -> None:
    for begin, end in ((3.5, 3.9), (-1.0, 0.5)):  # still, or a moment ago
        unwell = Fault("etcd leader frozen", 10, "m1", begin, end)
        fault: dict[str, Record | None] = {**ALONE, "a_lost": None, "deed": DELETED, "fault": unwell}
        assert rules(**fault, a_believed=Believed("a", 10, 1.01, 5.0)) == []
        assert rules(**fault, a_believed=Believed("a", 10, 1.01, 5.02)) == [Rule.FOREIGN]
    long_ago = Fault("etcd leader frozen", 10, "m1", -1.0, -0.2)
    late = Believed("a", 10, 1.01, 4.02)
    assert rules(**ALONE, a_lost=None, deed=DELETED, fault=long_ago, a_believed=late) == [Rule.FOREIGN]


def test_an_overlap_after_a_strangers_deed_is_that_deeds() -> None:
    assert rules(a_lost=None, deed=DELETED, a_believed=Believed("a", 10, 1.01, 3.9)) == []
    assert Rule.EXCLUSION in rules(a_lost=None, a_believed=Believed("a", 10, 1.01, 3.9))
    assert Rule.EXCLUSION in rules(deed=DELETED, b_too=Believed("b", 10, 2.0, 2.5)), "one term, two who lead"
    # It excuses the term that was hit, not the next one.
    again = Believed("c", 30, 4.9, 5.0)
    assert Rule.EXCLUSION in rules(deed=DELETED, c=again)


def test_a_deed_excuses_one_term() -> None:
    longer = {"b_lost": None, "b_believed": Believed("b", 16, 3.03, 3.9)}
    gone = Truth(3.6, 20, 16, deleted=True, lease_id=0, who="")
    assert Rule.OUTLIVED in rules(deed=DELETED, **longer, b_gone=gone)
    assert Rule.OUTLIVED not in rules(deed=dataclasses.replace(DELETED, end=3.5), **longer, b_gone=gone)
    # One that came after the end explains nothing.
    after = dataclasses.replace(DELETED, begin=3.7, end=3.8)
    assert Rule.OUTLIVED in rules(deed=after, **longer, b_gone=gone)


def test_an_overwrite_ends_a_term() -> None:
    overwritten = Truth(2.0, 12, 10, deleted=False, lease_id=0, who="a")
    deed = Fault("the same value written again", 24, "a", 1.9, 2.0, foreign=True)
    assert Rule.OUTLIVED in rules(a_overwritten=overwritten)
    assert rules(a_overwritten=overwritten, deed=deed) == []
    assert rules(a_overwritten=overwritten, deed=deed, a_lost=None, a_believed=Believed("a", 10, 1.01, 3.008)) == [
        Rule.FOREIGN
    ]
    proclaimed = Truth(2.0, 12, 10, deleted=False, lease_id=0xA, who="a, speaking")
    assert rules(proclaimed=proclaimed) == []


def test_belief_before_the_key() -> None:
    # ``a`` still wrote at 1.3: nobody else led then, even if nobody says that ``a`` believed so.
    assert rules(a_believed=None, b_believed=Believed("b", 16, 1.3, 5.0)) == []
    assert rules(a_believed=None, b_believed=Believed("b", 16, 1.2, 5.0)) == [Rule.EARLY]


def test_belief_after_a_loss() -> None:
    assert rules(a_lost=Lost(3.0, "a", 10, "expired")) == []
    assert rules(a_lost=Lost(2.9, "a", 10, "expired")) == [Rule.FINALITY]
    assert rules(b_lost_a=Lost(2.9, "b", 10, "expired")) == []


def test_tokens_that_do_not_rise() -> None:
    def again(token: int) -> Truth:
        return Truth(5.1, 30, token, deleted=False, lease_id=0xA, who="a")

    back: dict[str, Record | None] = {"saw_c": Observed(5.2, "o", 30), "a_again": again(30)}
    assert rules(**back) == []
    for token in (10, 16, 17):
        seen = Observed(5.2, "o", token)
        assert rules(**{**back, "saw_c": seen, "a_again": again(token)}) == [Rule.TOKENS]


def test_a_win_that_never_was() -> None:
    assert rules(a_won=None) == []
    assert rules(a_won=Won(1.002, "b", 10)) == [Rule.WINNER]
    assert rules(c_won=Won(6.0, "a", 21)) == [Rule.WINNER]
    assert rules(a_won_again=Won(1.5, "a", 10)) == [Rule.WINNER]
    assert rules(**{**ALONE, "a_believed": Believed("b", 10, 1.01, 2.0)}) == [Rule.WINNER]
    assert rules(**ALONE, b_thinks=Believed("b", 9, 6.0, 6.5)) == [Rule.WINNER]


def test_appends_and_the_list() -> None:
    assert rules(final=final((10, 0), (16, 0))) == [Rule.APPEND_LOST]
    assert rules(final=final((10, 0), (10, 0), (10, 1), (16, 0))) == [Rule.APPEND_TWICE]
    unknown = Append("a", 10, 1, 1.3, 1.4, "unknown")
    assert rules(a_appended_more=unknown) == []
    assert rules(a_appended_more=unknown, final=final((10, 0), (16, 0))) == []
    twice = final((10, 0), (10, 1), (10, 1), (16, 0))
    assert rules(a_appended_more=unknown, final=twice) == [Rule.APPEND_TWICE]
    for outcome in ("refused", "unsent"):
        refused = dataclasses.replace(unknown, outcome=outcome)
        assert rules(a_appended_more=refused) == [Rule.APPEND_REFUSED]
        assert rules(a_appended_more=refused, final=final((10, 0), (16, 0))) == []
    # Who was killed before it wrote it down; but there must have been such a term.
    assert rules(a_appended_more=None) == []
    assert rules(final=final((10, 0), (10, 1), (12, 0), (16, 0))) == [Rule.APPEND_STRANGE]


def test_the_order_of_the_list() -> None:
    assert rules(final=final((10, 0), (16, 0), (10, 1))) == [Rule.APPEND_ORDER]
    assert rules(final=final((10, 1), (10, 0), (16, 0))) == [Rule.APPEND_ORDER]
    # One whose outcome stayed unknown may have been applied late, but an answered one not.
    unknown = Append("a", 10, 0, 1.1, 1.2, "unknown")
    assert rules(a_appended=unknown, final=final((10, 1), (10, 0), (16, 0))) == []
    sent_later = Append("a", 10, 0, 1.45, 1.5, "unknown")
    assert rules(a_appended=sent_later, final=final((10, 0), (10, 1), (16, 0))) == [Rule.APPEND_ORDER]
    # Both under way at once: either may be first.
    at_once = Append("a", 10, 1, 1.15, 1.4, "applied")
    assert rules(a_appended_more=at_once, final=final((10, 1), (10, 0), (16, 0))) == []


def test_an_append_of_a_term_that_is_over() -> None:
    late = Append("a", 10, 1, 3.015, 3.02, "applied")
    assert rules(a_appended_more=late) == [Rule.APPEND_LATE], "although the list is in order"
    assert rules(a_appended_more=dataclasses.replace(late, sent=3.009)) == []
    assert Rule.APPEND_LATE in rules(a_appended_more=dataclasses.replace(late, outcome="unknown"))
    gone_late = dataclasses.replace(late, outcome="unknown")
    assert rules(a_appended_more=gone_late, final=final((10, 0), (16, 0))) == []
    # No excuse for a stranger's deed: it is etcd that guards.
    assert Rule.APPEND_LATE in rules(a_appended_more=late, deed=DELETED)


def test_the_guarded_register_never_goes_back() -> None:
    late = Register(3.6, "a", 10, 2, guarded=True, accepted=True)
    assert rules(a_wrote_late=late) == [Rule.REGISTER]
    assert rules(a_wrote_late=dataclasses.replace(late, accepted=False)) == []
    assert rules(a_wrote_late=dataclasses.replace(late, at=3.4)) == []
    assert judged(a_wrote_late=dataclasses.replace(late, accepted=False)).figures.guarded_refused == 1


def test_the_register_without_a_guard_is_counted() -> None:
    late = Register(3.6, "a", 10, 2, guarded=False, accepted=True)
    more = Register(3.7, "b", 16, 1, guarded=False, accepted=True)
    assert judged(a_wrote_late=late, b_wrote_more=more).figures.unguarded_violations == 1
    assert judged().figures.unguarded_violations == 0
    frozen = Fault("leader process frozen", 4, "a", 2.0, 3.5)
    assert judged(a_wrote_late=late, frozen=frozen).warnings == ()
    [warning] = judged(frozen=frozen).warnings
    assert "the nemesis is too weak" in warning
    for harmless in ({"target": "m1"}, {"target": "b"}, {"begin": 3.2}, {"row": 1, "name": "killed"}):
        assert judged(frozen=dataclasses.replace(frozen, **harmless)).warnings == (), "no leader was frozen"


def test_observers() -> None:
    assert rules(saw_a=None, saw_b=None) == [], "it may skip"
    assert rules(saw_a_gone=None) == []
    assert rules(saw_a_again=Observed(1.2, "o", 10)) == [], "another value"
    assert rules(saw_old=Observed(3.3, "o", 10)) == [Rule.OBSERVER_ORDER]
    assert rules(saw_strange=Observed(3.3, "o", 12)) == [Rule.OBSERVER_ORDER]
    assert rules(saw_b_gone=None) == [Rule.OBSERVER_END]
    assert rules(saw_b_gone=None, final=None) == []
    assert rules(saw_otherwise=Observed(3.3, "p", 10), then=Observed(5.2, "p", 0)) == [], "each by itself"
    assert rules(saw_at_first=Observed(1.05, "o", 0)) == []
    twice_vacant = Observed(3.25, "o", 0)
    assert rules(saw_vacant=twice_vacant, then=Observed(3.26, "o", 16)) == [Rule.OBSERVER_ORDER]


def test_nothing_is_left() -> None:
    entries = ((10, 0), (10, 1), (16, 0))
    assert rules(final=final(*entries, leases=(0xB,))) == [Rule.ORPHAN]
    assert rules(final=final(*entries, leader_token=16)) == [Rule.ORPHAN]


def test_the_body_ends_before_the_key() -> None:
    assert rules(a_ended=Ended(3.009, "a", 10)) == []
    assert rules(a_ended=Ended(3.011, "a", 10)) == [Rule.BODY]
    assert rules(a_ended=Ended(3.5, "a", 10), a_lost=Lost(3.0, "a", 10, "expired")) == [], "it was lost"
    assert rules(a_ended=Ended(3.5, "a", 10), deed=dataclasses.replace(DELETED, target="key")) == []
    frozen = Fault("leader process frozen", 4, "a", 3.0, 3.4)
    assert Rule.BODY not in rules(a_ended=Ended(3.5, "a", 10), frozen=frozen)
    assert Rule.BODY in rules(a_ended=Ended(3.5, "a", 10), frozen=dataclasses.replace(frozen, target="b"))
    asked = Fault("leader process asked to stop", 3, "a", 3.0, 3.4)
    assert Rule.BODY in rules(a_ended=Ended(3.5, "a", 10), asked=asked)


def following(at: float) -> dict[str, Record | None]:
    """``a`` is dead at 3, ``b`` follows at that time."""
    return {
        "a_ended": None,
        "a_lost": None,
        "a_gone": Truth(at - 0.01, 15, 10, deleted=True, lease_id=0, who=""),
        "b_created": Truth(at - 0.001, 16, 16, deleted=False, lease_id=0xB, who="b"),
        "b_won": Won(at, "b", 16),
        "b_believed": Believed("b", 16, at, at + 1.0),
        "b_appended": Append("b", 16, 0, at, at + 0.1, "applied"),
        "b_ended": None,
        "b_lost": None,
        "b_gone": Truth(at + 2.0, 20, 16, deleted=True, lease_id=0, who=""),
        "saw_a_gone": None,
        "saw_b": None,
        "saw_b_gone": Observed(at + 2.1, "o", 0),
    }


def failover(**changes: Record | None) -> tuple[Failover, list[Rule]]:
    verdict = judged(**changes)
    return verdict.figures.failovers[0], [each.rule for each in verdict.violations]


@pytest.mark.parametrize(
    ("row", "target", "end", "bound"),
    [
        (1, "a", End.CRASH, 3.0),
        (2, "a, m1", End.CRASH_BOTH, 7.0),
        (4, "a", End.FREEZE, 3.0),
        (5, "a", End.FREEZE, 3.0),
    ],
)
def test_a_dead_leader_is_replaced_in_time(row: int, target: str, end: End, bound: float) -> None:
    fault = Fault("it dies", row, target, 3.0, 12.0)
    found, violated = failover(**following(2.9 + bound), fault=fault)
    assert (found.end, found.bound, violated) == (end, bound, [])
    assert found.seconds == pytest.approx(bound - 0.1)
    found, violated = failover(**following(3.1 + bound), fault=fault)
    assert (found.end, violated) == (end, [Rule.FAILOVER])
    # Where etcd is unwell too, nothing is promised.
    other = Fault("etcd leader frozen", 10, "m1", 3.5, 3.9)
    found, violated = failover(**following(3.1 + bound), fault=fault, other=other)
    assert (found.end, found.bound, violated) == (end, None, [])


def test_who_resigns_is_replaced_at_once() -> None:
    resigned: dict[str, Record | None] = {"a_ended": RIGHT["a_ended"], "a_lost": RIGHT["a_lost"]}
    assert failover(**{**following(3.19), **resigned})[1] == []
    found, violated = failover(**{**following(3.21), **resigned})
    assert (found.end, violated) == (End.RESIGN, [Rule.FAILOVER])
    assert found.seconds == pytest.approx(0.209)
    asked = Fault("leader process asked to stop", 3, "a", 2.9, 3.3)
    found, violated = failover(**{**following(3.11), **resigned}, asked=asked)
    assert (found.end, violated) == (End.RESIGN, [Rule.FAILOVER])
    assert found.seconds == pytest.approx(0.21)


def test_other_ends_have_no_bound() -> None:
    found, violated = failover(**following(6.0), deed=dataclasses.replace(DELETED, end=6.0))
    assert (found.end, found.bound, violated) == (End.FOREIGN, None, [])
    assert found.seconds == pytest.approx(0.01)
    found, violated = failover(**{**following(6.0), "a_lost": Lost(4.0, "a", 10, "expired")})
    assert (found.end, found.bound, violated) == (End.LOSS, None, [])


def test_a_freeze_that_was_over_long_before_ends_nothing() -> None:
    frozen = Fault("leader process frozen", 4, "a", 1.2, 1.5)
    assert failover(**following(6.0), frozen=frozen)[0].end is End.LOSS
    assert failover(frozen=dataclasses.replace(frozen, end=3.0))[0].end is End.RESIGN


def test_who_was_killed_as_it_won_has_not_told_so() -> None:
    crash = Fault("leader process killed", 1, "a", 3.0, 12.0)
    assert failover(**{**following(5.0), "b_won": None}, fault=crash)[0].seconds == pytest.approx(1.999)


def test_rows_keep_their_bounds() -> None:
    measured = Measured(9, "renewal", 0.3, 0.3)
    assert rules(measured=measured) == []
    assert rules(measured=dataclasses.replace(measured, seconds=0.31)) == [Rule.BOUND]


def test_bounds_hold_on_top_of_the_machines_own_stalls_and_belief_gets_nothing_for_them() -> None:
    fault = Fault("it dies", 1, "a", 3.0, 12.0)
    stall, elsewhere = Stall(3.5, 3.7), Stall(0.0, 2.0)
    assert failover(**following(6.15), fault=fault, stall=stall)[1] == []
    assert failover(**following(6.25), fault=fault, stall=stall)[1] == [Rule.FAILOVER]
    assert failover(**following(6.15), fault=fault, stall=elsewhere)[1] == [Rule.FAILOVER]
    measured = Measured(9, "renewal", 0.4, 0.3, begin=3.4)
    assert rules(measured=measured, stall=stall) == []
    assert rules(measured=measured, stall=elsewhere) == [Rule.BOUND]
    assert rules(**ALONE, a_lost=None, deed=DELETED, a_believed=Believed("a", 10, 1.01, 4.15), stall=stall) == []
    late = Believed("a", 10, 1.01, 4.15)
    assert rules(**ALONE, a_lost=None, deed=DELETED, a_believed=late, stall=elsewhere) == [Rule.FOREIGN]
    outlived = Believed("a", 10, 1.01, 3.2)
    assert Rule.OUTLIVED in rules(**ALONE, a_lost=None, a_believed=outlived, stall=Stall(3.0, 3.5))


def test_a_live_lease_that_etcd_revokes_as_its_leader_goes_on_is_etcds_fault() -> None:
    late = {**ALONE, "a_lost": None, "a_believed": Believed("a", 10, 1.01, 3.05)}
    assert rules(**late) == [Rule.OUTLIVED]
    verdict = judged(**late, thaw=Thaw(2.99, "m1"))
    assert verdict.ok and verdict.figures.revoked_by_etcd == 1
    assert rules(**late, thaw=Thaw(2.4, "m1")) == [Rule.OUTLIVED], "long after that: it was the lease's end"
    assert rules(**late, thaw=Thaw(3.02, "m1")) == [Rule.OUTLIVED], "not before"
    longer = {**late, "a_believed": Believed("a", 10, 1.01, 5.1)}
    assert rules(**longer, thaw=Thaw(2.99, "m1")) == [Rule.FOREIGN], "and not for ever"
    assert judged(thaw=Thaw(2.99, "m1")).figures.revoked_by_etcd == 0


def test_a_loss_without_a_fault_is_told() -> None:
    expired = Lost(3.0, "a", 10, "expired")
    verdict = judged(a_lost=expired)
    assert verdict.figures.lost_without_fault == 1
    assert any("although no fault was near" in each for each in verdict.warnings)
    for fault in (DELETED, Fault("quorum lost", 12, "quorum", -3.0, -2.5)):
        assert judged(a_lost=expired, fault=fault).figures.lost_without_fault == 0


def test_a_run_that_was_stopped_is_judged_by_what_there_is() -> None:
    verdict = judged(final=None)
    assert verdict.ok
    assert any("did not come to its end" in each for each in verdict.warnings)


def test_a_run_without_a_leader_is_no_proof() -> None:
    for records in ([], [RIGHT["run"]]):
        assert check(records).ok
        assert any("nothing was judged" in each for each in check(records).warnings)


def test_scenarios_with_leases_of_several_lengths() -> None:
    fault = Fault("killed", 1, "a", 3.0, 12.0)
    longer = Run(0.0, 1, 5, 1.0, ("a", "b"), {})
    assert failover(**following(8.9), longer=longer, fault=fault)[0].bound == 6.0


def test_without_the_record_of_the_run_no_bound_is_known() -> None:
    found, violated = failover(**following(9.0), run=None, fault=Fault("killed", 1, "a", 3.0, 12.0))
    assert (found.end, found.bound, violated) == (End.CRASH, None, [])


# ---------------------------------------------------------------------- a simulated lock service

Kind = TypeVar("Kind")
Mutation = Callable[[list[Record], random.Random], None]

seeds = st.integers(0, 2**32)
several = st.lists(st.sampled_from(HOWS), min_size=2, max_size=8)


@given(seed=seeds, hows=several)
@settings(deadline=None, max_examples=200)
def test_a_correct_run_has_no_violation(seed: int, hows: Sequence[How]) -> None:
    verdict = check(Simulation(seed, hows).records)
    assert verdict.violations == ()
    assert verdict.figures.terms == len(hows)
    assert len(verdict.figures.failovers) == len(hows) - 1


def of(records: list[Record], kind: type[Kind], chosen: Callable[[Kind], bool] = lambda _: True) -> list[Kind]:
    """In the order of time; there is one at least."""
    found = [each for each in records if isinstance(each, kind) and chosen(each)]
    assume(found)
    return sorted(found, key=lambda each: getattr(each, "at", getattr(each, "end", getattr(each, "sent", 0.0))))


def change(records: list[Record], record: Any, **fields: Any) -> None:
    records[records.index(record)] = dataclasses.replace(record, **fields)


def ends(records: list[Record]) -> dict[int, Truth]:
    return {each.token: each for each in of(records, Truth, lambda each: each.deleted)}


def final_of(records: list[Record]) -> Final:
    return of(records, Final)[0]


def foreign_tokens(records: list[Record]) -> set[int]:
    reasons = {"deleted", "overwritten", "revoked"}
    return {each.token for each in records if isinstance(each, Lost) and each.reason in reasons}


def ours(records: list[Record]) -> list[Believed]:
    """The last interval of belief in each term that no stranger ended, or may have ended."""
    last = {each.token: each for each in of(records, Believed)}
    strangers = foreign_tokens(records)
    followed = {token for before, token in itertools.pairwise(sorted(last)) if before in strangers}
    found = [each for token, each in last.items() if token not in strangers | followed]
    assume(found)
    return found


def overlap(records: list[Record], pick: random.Random) -> None:
    first = {each.token: each for each in reversed(of(records, Believed))}
    tokens = sorted(first)
    followed = [each for each in ours(records) if each.token != tokens[-1]]
    assume(followed)
    belief = pick.choice(followed)
    change(records, belief, end=first[tokens[tokens.index(belief.token) + 1]].begin + 0.0001)


def outlive(records: list[Record], pick: random.Random) -> None:
    belief = pick.choice(ours(records))
    change(records, belief, end=ends(records)[belief.token].at + 0.0001)


def ignore_a_stranger(records: list[Record], pick: random.Random) -> None:
    strangers = foreign_tokens(records)
    belief = pick.choice(of(records, Believed, lambda each: each.token in strangers))
    change(records, belief, end=ends(records)[belief.token].at + TTL + 0.0001)


def begin_early(records: list[Record], pick: random.Random) -> None:
    append = pick.choice(of(records, Append, lambda each: each.outcome == "applied"))
    later = of(records, Believed, lambda each: each.token > append.token)
    change(records, later[0], begin=append.sent - 0.0001)


def believe_again(records: list[Record], pick: random.Random) -> None:
    loss = pick.choice(of(records, Lost))
    belief = of(records, Believed, lambda each: each.token == loss.token)[-1]
    change(records, belief, end=loss.at + 0.0001)


def go_back(records: list[Record], pick: random.Random) -> None:
    tokens = sorted(ends(records))
    assume(len(tokens) > 1)
    token = pick.choice(tokens[1:])
    for event in of(records, Truth, lambda each: each.token == token):
        change(records, event, token=tokens[0] - 1)


def win_anothers(records: list[Record], pick: random.Random) -> None:
    win = pick.choice(of(records, Won))
    change(records, win, who=win.who + "x")


def win_what_never_was(records: list[Record], pick: random.Random) -> None:
    win = pick.choice(of(records, Won))
    records.append(dataclasses.replace(win, token=win.token * 1000))


def exchange(records: list[Record], entries: Sequence[tuple[int, int]]) -> None:
    change(records, final_of(records), entries=tuple(entries))


def lose_an_append(records: list[Record], pick: random.Random) -> None:
    append = pick.choice(of(records, Append, lambda each: each.outcome == "applied"))
    exchange(records, [each for each in final_of(records).entries if each != (append.token, append.number)])


def append_twice(records: list[Record], pick: random.Random) -> None:
    entries = list(final_of(records).entries)
    assume(entries)
    at = pick.randrange(len(entries))
    exchange(records, [*entries[: at + 1], entries[at], *entries[at + 1 :]])


def refuse_what_was_applied(records: list[Record], pick: random.Random) -> None:
    outcome = pick.choice(["refused", "unsent"])
    change(records, pick.choice(of(records, Append, lambda each: each.outcome == "applied")), outcome=outcome)


def swap_entries(records: list[Record], pick: random.Random) -> None:
    entries = list(final_of(records).entries)
    applied = {(each.token, each.number) for each in of(records, Append, lambda each: each.outcome == "applied")}
    places = [at for at in range(1, len(entries)) if {entries[at - 1], entries[at]} <= applied]
    assume(places)
    at = pick.choice(places)
    entries[at - 1], entries[at] = entries[at], entries[at - 1]
    exchange(records, entries)


def append_of_no_term(records: list[Record], pick: random.Random) -> None:
    exchange(records, [*final_of(records).entries, (10**6 + pick.randrange(10), 0)])


def append_late(records: list[Record], pick: random.Random) -> None:
    append = pick.choice(of(records, Append, lambda each: each.outcome == "applied"))
    gone = ends(records)[append.token].at
    change(records, append, sent=gone + 0.0001, answered=gone + 0.001)


def let_a_stale_write_pass(records: list[Record], pick: random.Random) -> None:
    change(records, pick.choice(of(records, Register, lambda each: each.guarded and not each.accepted)), accepted=True)


def observe_the_past(records: list[Record], pick: random.Random) -> None:
    seen = of(records, Observed, lambda each: each.who == "o1" and each.token > 0)
    later = [each for each in seen if each.token > seen[0].token]
    assume(later)
    records.append(Observed(pick.choice(later).at + 0.000001, "o1", seen[0].token))


def observe_no_more(records: list[Record], pick: random.Random) -> None:
    observer = pick.choice(["o1", "o2"])
    last = of(records, Observed, lambda each: each.who == observer and each.token > 0)[-1]
    records[:] = [each for each in records if not (isinstance(each, Observed) and each.at > last.at)]


def leave_a_lease(records: list[Record], pick: random.Random) -> None:
    change(records, final_of(records), leases=(pick.getrandbits(60),))


def release_too_early(records: list[Record], pick: random.Random) -> None:
    resigned = {each.token for each in of(records, Lost, lambda each: each.reason == "resigned")}
    resigned &= {each.token for each in ours(records)}
    ended = pick.choice(of(records, Ended, lambda each: each.token in resigned))
    frozen = {each.target for each in records if isinstance(each, Fault) and each.row == 4}
    assume(ended.who not in frozen)
    change(records, ended, at=ends(records)[ended.token].at + 0.0001)


def exceed_a_bound(records: list[Record], pick: random.Random) -> None:
    measured = pick.choice(of(records, Measured))
    change(records, measured, seconds=measured.bound * 1.01)


MUTATIONS: list[tuple[Mutation, Rule]] = [
    (overlap, Rule.EXCLUSION),
    (outlive, Rule.OUTLIVED),
    (ignore_a_stranger, Rule.FOREIGN),
    (begin_early, Rule.EARLY),
    (believe_again, Rule.FINALITY),
    (go_back, Rule.TOKENS),
    (win_anothers, Rule.WINNER),
    (win_what_never_was, Rule.WINNER),
    (lose_an_append, Rule.APPEND_LOST),
    (append_twice, Rule.APPEND_TWICE),
    (refuse_what_was_applied, Rule.APPEND_REFUSED),
    (swap_entries, Rule.APPEND_ORDER),
    (append_of_no_term, Rule.APPEND_STRANGE),
    (append_late, Rule.APPEND_LATE),
    (let_a_stale_write_pass, Rule.REGISTER),
    (observe_the_past, Rule.OBSERVER_ORDER),
    (observe_no_more, Rule.OBSERVER_END),
    (leave_a_lease, Rule.ORPHAN),
    (release_too_early, Rule.BODY),
    (exceed_a_bound, Rule.BOUND),
]


@pytest.mark.parametrize(("mutation", "rule"), MUTATIONS, ids=lambda each: getattr(each, "__name__", ""))
@given(seed=seeds, hows=several)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_a_run_that_went_wrong_is_caught(mutation: Mutation, rule: Rule, seed: int, hows: Sequence[How]) -> None:
    records = Simulation(seed, hows).records
    mutation(records, random.Random(seed))
    assert rule in {each.rule for each in check(records).violations}


@given(seed=seeds, how=st.sampled_from(["crash", "freeze"]))
@settings(deadline=None, max_examples=40)
def test_a_late_successor_is_caught(seed: int, how: How) -> None:
    records = Simulation(seed, ["resign", how, "resign"], follower_faults=False).records
    [fault] = of(records, Fault)
    late = [_later(each, fault.begin + 0.1, TTL + 1.0) for each in records]
    assert {each.rule for each in check(late).violations} == {Rule.FAILOVER}


def _later(record: Record, after: float, by: float) -> Record:
    times = {"at", "begin", "end", "sent", "answered"}
    fields = {each.name: getattr(record, each.name) for each in dataclasses.fields(record) if each.name in times}
    return dataclasses.replace(record, **{name: time + by for name, time in fields.items() if time > after})


def test_every_rule_has_its_mutation() -> None:
    assert {rule for _, rule in MUTATIONS} | {Rule.FAILOVER} == set(Rule)


def test_an_hour_is_judged_in_seconds() -> None:
    verdict = check(simulate(7, 800))
    assert verdict.ok
    assert verdict.figures.seconds > 3000
    assert verdict.figures.unguarded_violations > 0
    assert set(verdict.figures.spreads()) == set(End) - {End.CRASH_BOTH}
