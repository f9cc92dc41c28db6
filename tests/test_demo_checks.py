"""The demo's verdict: it holds for a good record, and fails for each thing that can be wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aioelection.cli._checks import Check, Fault, Kind, Record, Stall, Term, exclusive, judge, overlap, rising, stalled


def term(holder: str, token: int, since: float, until: float) -> Term:
    return Term(holder, token, since, since, until)


# Killed at 10, followed at 13; asked to stop at 20; revoked at 30, known at 30.01, the next one elected at 30.005.
GOOD = Record(
    lease_timeout=3,
    terms=(
        term("a", 2, 1.0, 10.01),
        term("b", 4, 13.0, 20.001),
        term("c", 6, 20.02, 30.01),
        term("d", 8, 30.005, 40.0),
    ),
    faults=(Fault(Kind.KILL, "a", 2, 10.0), Fault(Kind.STOP, "b", 4, 20.0), Fault(Kind.REVOKE, "c", 6, 30.0)),
    exits={"a": -9, "b": 0},
)


def with_term(index: int, **changes: object) -> Record:
    terms = list(GOOD.terms)
    terms[index] = replace(terms[index], **changes)  # type: ignore[arg-type]
    return replace(GOOD, terms=terms)


def failed(record: Record) -> list[str]:
    return [check.claim for check in judge(record) if not check.ok]


def find(record: Record, claim: str) -> Check:
    return next(check for check in judge(record) if check.claim.startswith(claim))


def test_a_good_record_holds() -> None:
    assert failed(GOOD) == []
    assert len(judge(GOOD)) == 10


def test_measures_are_told() -> None:
    assert find(GOOD, "kill: another").measured == "3.000 s, bound 4 s"
    assert find(GOOD, "stop: another").measured == "20.0 ms, bound 0.2 s"
    assert find(GOOD, "stop: nobody").measured == "19.0 ms between them at least"
    assert find(GOOD, "revoke: c knew").measured == "10.0 ms, bound 1 s"
    assert find(GOOD, "revoke: two").measured == "5.0 ms, bound 1 s"
    assert find(GOOD, "fencing").measured == "2 4 6 8"


def test_a_slow_hand_over_fails() -> None:
    assert failed(with_term(1, entered=14.01, since=14.01)) == ["kill: another led after"]
    assert failed(with_term(2, entered=20.21, since=20.21)) == ["stop: another led after"]
    assert failed(with_term(3, entered=31.01, since=31.01)) == ["revoke: another led after"]


def test_a_stall_of_the_machine_comes_on_top_of_a_bound() -> None:
    late = with_term(2, entered=20.21, since=20.21)
    stall = replace(late, stalls=(Stall(20.05, 20.07), Stall(19.0, 19.5)))
    assert failed(stall) == []
    assert "(and 20.0 ms for which the machine was stalled)" in find(stall, "stop: another").measured
    assert failed(replace(late, stalls=(Stall(19.9, 20.005),))) == ["stop: another led after"]


def test_no_hand_over_fails() -> None:
    alone = replace(GOOD, terms=GOOD.terms[:1], faults=GOOD.faults[:1])
    assert find(alone, "kill: another") == Check("kill: another led after", "nobody followed", ok=False)
    # Alone, neither rising nor exclusion has been seen.
    assert len(failed(alone)) == len(judge(alone)) == 6


def test_the_same_candidate_again_is_no_hand_over() -> None:
    assert "stop: another led after" in failed(with_term(2, holder="b"))


def test_a_fault_that_did_not_take_place_fails() -> None:
    assert failed(replace(GOOD, faults=GOOD.faults[:2])) == [
        "revoke: it is followed by a hand-over",
        "all: no two of 4 terms at one instant, but for the revoke",
    ]
    assert not any(check.ok for check in judge(Record(3, (), ())))


def test_a_fault_to_a_term_that_was_not_recorded_fails() -> None:
    faults = (*GOOD.faults[:2], Fault(Kind.REVOKE, "c", 7, 30.0))
    assert "revoke: the term of c was recorded" in failed(replace(GOOD, faults=faults))


def test_two_at_one_instant_fail_after_kill_and_stop() -> None:
    assert failed(with_term(0, until=13.1)) == [
        "kill: nobody else led while a did",
        "stop: nobody else led while b did",
        "all: no two of 4 terms at one instant, but for the revoke",
    ]
    overlapping = with_term(1, until=20.03)
    assert failed(overlapping) == [
        "stop: nobody else led while b did",
        "all: no two of 4 terms at one instant, but for the revoke",
    ]
    assert find(overlapping, "stop: nobody").measured == "b (token 4) and c (token 6) for 10.0 ms"


def test_a_term_whose_end_is_not_known_fails() -> None:
    assert "stop: nobody else led while b did" in failed(with_term(1, until=float("inf")))


def test_a_deposed_leader_that_knows_too_late_fails() -> None:
    assert failed(with_term(2, until=31.001)) == ["revoke: c knew that it no longer led"]
    assert failed(with_term(2, until=31.2)) == [
        "revoke: c knew that it no longer led",
        "revoke: two led at one instant, for",
    ]


def test_a_stopped_process_must_have_ended_by_itself() -> None:
    assert failed(replace(GOOD, exits={"b": 1})) == ["stop: b ended by itself"]
    assert failed(replace(GOOD, exits={})) == ["stop: b ended by itself"]


@pytest.mark.parametrize("tokens", [[], [2], [2, 2], [2, 4, 3], [4, 2]])
def test_tokens_that_do_not_rise_strictly_fail(tokens: list[int]) -> None:
    assert not rising([term("a", token, at, at + 1) for at, token in enumerate(tokens)]).ok


def test_tokens_are_compared_in_the_order_of_the_terms() -> None:
    assert rising([term("b", 4, 2.0, 3.0), term("a", 2, 0.0, 1.0)]).ok


def test_the_revoked_term_must_not_overlap_an_earlier_one() -> None:
    assert not exclusive(with_term(2, since=20.0)).ok


def test_terms_that_were_held_by_one_process_must_not_overlap_either() -> None:
    assert not exclusive(Record(3, (term("a", 2, 0.0, 2.0), term("a", 4, 1.0, 3.0)), ())).ok


@pytest.mark.parametrize(
    ("one", "other", "seconds"),
    [
        ((0.0, 2.0), (1.0, 3.0), 1.0),
        ((0.0, 3.0), (1.0, 2.0), 1.0),
        ((0.0, 1.0), (1.0, 2.0), 0.0),
        ((0.0, 1.0), (3.0, 4.0), -2.0),
    ],
)
def test_overlap(one: tuple[float, float], other: tuple[float, float], seconds: float) -> None:
    assert overlap(term("a", 1, *one), term("b", 2, *other)) == seconds
    assert overlap(term("b", 2, *other), term("a", 1, *one)) == seconds


def test_stalled_counts_what_lies_within() -> None:
    stalls = [Stall(0.0, 1.0), Stall(2.0, 3.0), Stall(4.0, 6.0), Stall(8.0, 9.0)]
    assert stalled(stalls, 0.5, 5.0) == 0.5 + 1.0 + 1.0
    assert stalled([], 0.0, 1.0) == 0.0
