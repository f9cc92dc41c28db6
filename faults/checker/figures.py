"""What is counted and measured, beside what is judged."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from faults.checker.history import HASTY, VOLUNTARY, History, Tenure, freezes, targets
from faults.checker.verdict import End, Failover, Figures
from faults.records import Fault

RESIGNED_BOUND = 0.2
"""Rule 11 says milliseconds; row 3 of the table says how many."""

THAW = 0.5
"""Who wakes from a freeze and finds its term over gives up the lease within that."""

DOUBT = 0.05
"""A recorder on the same machine is seldom told later than this."""


def figures(history: History) -> Figures:
    """All of them."""
    availability, longest_gap = _availability(history)
    writes = Counter((each.guarded, each.accepted) for each in history.writes)
    return Figures(
        seconds=history.end - history.begin,
        terms=len(history.tenures),
        availability=availability,
        longest_gap=longest_gap,
        appends=dict(sorted(Counter(each.outcome for each in history.appends).items())),
        guarded_accepted=writes[True, True],
        guarded_refused=writes[True, False],
        unguarded_violations=_unguarded_violations(history),
        observations=len(history.observed),
        faults=len(history.faults),
        lost_without_fault=sum(_lost_without_fault(history)),
        revoked_by_etcd=sum(
            each.foreign is not None and each.foreign.name == HASTY for each in history.tenures.values()
        ),
        doubtful=sum(_doubtful(history)),
        recorder_delay=max(
            (event.at - time for event, time in zip(history.truth, history.not_after, strict=True)), default=0.0
        ),
        failovers=tuple(failovers(history)),
    )


def warnings(history: History, found: Figures) -> Iterator[str]:
    """What lessens the worth of the run."""
    if history.final is None:
        yield "the run did not come to its end: the list, the leases and the observers' last word were not checked"
    if not history.tenures:
        yield "nobody ever led: nothing was judged"
    frozen = sum(
        tenure.created <= fault.begin <= (history.end if tenure.gone is None else tenure.gone)
        for fault in filter(freezes, history.faults)
        for tenure in history.tenures.values()
        if tenure.who in targets(fault)
    )
    if frozen and not found.unguarded_violations:
        yield (
            f"the nemesis is too weak: leaders were frozen {frozen} times, "
            "and yet the register without a guard never went back"
        )
    if found.lost_without_fault:
        yield f"{found.lost_without_fault} terms were lost although no fault was near: was the machine overloaded?"
    if found.recorder_delay > 1.0:
        yield f"the recorder was told up to {found.recorder_delay:.1f} s late, which may hide a violation"


def failovers(history: History) -> Iterator[Failover]:
    """From the end of each term to the next win."""
    won = {each.token: each.at for each in reversed(history.wins)}
    tenures = list(history.tenures.values())
    ended = {(each.who, each.token): each.at for each in history.ends}
    for number, (tenure, following) in enumerate(itertools.pairwise(tenures)):
        if tenure.gone is None:
            continue
        before = tenures[number - 1].gone if number else None
        end, cause = _why(history, tenure, float("-inf") if before is None else before)
        began = tenure.gone if cause is None or cause.foreign else cause.begin
        if end is End.RESIGN:
            began = min(began, ended.get((tenure.who, tenure.token), began))
        # Who was killed as it won has not told of it.
        won_at = won.get(following.token, following.created)
        bound = _bound(end, history) if history.calm(began, won_at, but=cause) else None
        row, stalled = cause.row if cause else 0, history.stalled(began, won_at)
        yield Failover(tenure.token, end, began, max(0.0, won_at - began), bound, row, stalled)


def _why(history: History, tenure: Tenure, before: float) -> tuple[End, Fault | None]:
    """How a term ended, and the fault that did it."""
    assert tenure.gone is not None
    if tenure.foreign is not None:
        return End.FOREIGN, tenure.foreign
    loss = history.losses.get((tenure.who, tenure.token))
    resigned = loss is not None and loss.reason in VOLUNTARY
    for fault in history.near(max(before, history.begin), tenure.gone):
        if fault.begin >= before and tenure.who in targets(fault):
            if fault.row in {1, 2}:
                return (End.CRASH if fault.row == 1 else End.CRASH_BOTH), fault
            # A freeze that was over long before had nothing to do with it.
            if freezes(fault) and fault.end + THAW >= tenure.gone and not resigned:
                return End.FREEZE, fault
            if fault.row == 3:
                return End.RESIGN, fault
    return (End.RESIGN if resigned else End.LOSS), None


def _bound(end: End, history: History) -> float | None:
    ttl, election_timeout = history.ttl, history.run.election_timeout
    if not ttl:  # The record of the run is missing.
        return None
    if end in {End.CRASH, End.FREEZE}:
        return ttl + 1.0
    if end is End.CRASH_BOTH:
        return 2 * ttl + 3 * election_timeout
    return RESIGNED_BOUND if end is End.RESIGN else None


def _availability(history: History) -> tuple[float | None, float]:
    """The part of the time with a leader, and the longest time without."""
    covered = longest = 0.0
    until: float | None = None
    for belief in history.beliefs:
        if until is not None:
            longest = max(longest, belief.begin - until)
        covered += max(0.0, belief.end - (belief.begin if until is None else max(until, belief.begin)))
        until = belief.end if until is None else max(until, belief.end)
    whole = until - history.beliefs[0].begin if until is not None else 0.0
    return (covered / whole if whole else None), longest


def _unguarded_violations(history: History) -> int:
    highest = count = 0
    for write in history.writes:
        if not write.guarded and write.accepted:
            count += write.token < highest
            highest = max(highest, write.token)
    return count


def _lost_without_fault(history: History) -> Iterator[bool]:
    for loss in history.losses.values():
        since = loss.at - history.ttl - 1.0
        foreign = any(each.foreign for each in history.near(since, loss.at))
        yield loss.reason not in VOLUNTARY and not foreign and history.calm(since, loss.at)


def _doubtful(history: History) -> Iterator[bool]:
    """Beliefs that ended so shortly before the key was known to be gone that they may have outlived it."""
    for belief in history.beliefs:
        tenure = history.tenures.get(belief.token)
        loss = history.losses.get((belief.who, belief.token))
        if tenure is not None and tenure.gone is not None and tenure.foreign is None:
            # Who resigns asks for the deletion only after that.
            resigned = loss is not None and loss.reason in VOLUNTARY
            yield not resigned and tenure.gone - DOUBT < belief.end <= tenure.gone
