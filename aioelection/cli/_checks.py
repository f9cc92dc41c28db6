"""What the demo checks, from what was recorded: no clock, no process, no etcd.

All instants are seconds on one clock that every process of the machine shares.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

STOP_BOUND = 0.2
"""Seconds from asking a leader to stop until the next one leads."""

LOSS_BOUND = 1.0
"""Seconds after which the watch has told of a lease revoked by somebody else."""


class Kind(enum.Enum):
    """What was done to a leader."""

    KILL = "kill"
    STOP = "stop"
    REVOKE = "revoke"


@dataclass(frozen=True)
class Term:
    """A term as its holder saw it: the body entered, and ``check()`` seen to be true from ``since`` to ``until``."""

    holder: str
    token: int
    entered: float
    since: float
    until: float


@dataclass(frozen=True)
class Fault:
    """Something was done, not before ``at``, to the holder of a term."""

    kind: Kind
    holder: str
    token: int
    at: float


@dataclass(frozen=True)
class Stall:
    """The machine did not run what was due, from one instant to another."""

    since: float
    until: float


@dataclass(frozen=True)
class Record:
    """All that was seen."""

    lease_timeout: int
    terms: Sequence[Term]
    faults: Sequence[Fault]
    stalls: Sequence[Stall] = ()
    exits: dict[str, int] = field(default_factory=dict)
    """The exit status of each candidate that has ended."""


@dataclass(frozen=True)
class Check:
    """One claim, what was measured, and whether it holds."""

    claim: str
    measured: str
    ok: bool


def judge(record: Record) -> list[Check]:
    """Every check; what was not recorded does not hold."""
    checks = []
    for kind in Kind:
        fault = next((fault for fault in record.faults if fault.kind is kind), None)
        if fault is None:
            checks.append(Check(f"{kind.value}: it is followed by a hand-over", "it did not take place", ok=False))
        else:
            checks += _after(fault, record)
    return [*checks, rising(record.terms), exclusive(record)]


def overlap(one: Term, other: Term) -> float:
    """Seconds for which both were held; what is below 0 is the time between them."""
    return min(one.until, other.until) - max(one.since, other.since)


def stalled(stalls: Iterable[Stall], since: float, until: float) -> float:
    """For how many seconds of a span the machine was stalled."""
    return sum(max(0.0, min(stall.until, until) - max(stall.since, since)) for stall in stalls)


def successor(fault: Fault, terms: Iterable[Term]) -> Term | None:
    """The first term after a fault that another candidate entered."""
    later = (term for term in terms if term.entered >= fault.at and term.holder != fault.holder)
    return min(later, key=lambda term: term.entered, default=None)


def rising(terms: Iterable[Term]) -> Check:
    """Each term's token is above the one of the term entered before it."""
    tokens = [term.token for term in sorted(terms, key=lambda term: term.entered)]
    ok = len(tokens) > 1 and all(one < next_one for one, next_one in itertools.pairwise(tokens))
    return Check("fencing tokens rise strictly", " ".join(map(str, tokens)) or "no term was won", ok)


def exclusive(record: Record) -> Check:
    """No two terms overlap, but for a revoked one and those after the revoke, which rule 1 tells of."""
    revoked = {fault.token: fault.at for fault in record.faults if fault.kind is Kind.REVOKE}

    def bound_to_be_apart(one: Term, other: Term) -> bool:
        return one.token not in revoked or other.entered < revoked[one.token]

    pairs = [
        (one, other)
        for one, other in itertools.combinations(record.terms, 2)
        if bound_to_be_apart(one, other) and bound_to_be_apart(other, one)
    ]
    return _apart(f"all: no two of {len(record.terms)} terms at one instant, but for the revoke", pairs)


def _after(fault: Fault, record: Record) -> list[Check]:
    kind = fault.kind
    term = next((term for term in record.terms if term.token == fault.token), None)
    checks = [_hand_over(fault, record)]
    if term is None:
        return [*checks, Check(f"{kind.value}: the term of {fault.holder} was recorded", "it was not", ok=False)]
    others = [other for other in record.terms if other.holder != fault.holder]
    if kind is Kind.REVOKE:
        claim = f"revoke: {fault.holder} knew that it no longer led"
        checks.append(_bounded(claim, fault.at, term.until, LOSS_BOUND, record))
        both = max((overlap(term, other) for other in others), default=0.0)
        measured = f"{_seconds(max(0.0, both))}, bound {LOSS_BOUND:g} s"
        checks.append(Check("revoke: two led at one instant, for", measured, both <= LOSS_BOUND))
    else:
        claim = f"{kind.value}: nobody else led while {fault.holder} did"
        checks.append(_apart(claim, ((term, other) for other in others)))
    if kind is Kind.STOP:
        status = record.exits.get(fault.holder)
        checks.append(Check(f"stop: {fault.holder} ended by itself", f"exit status {status}", status == 0))
    return checks


def _hand_over(fault: Fault, record: Record) -> Check:
    bounds = {Kind.KILL: record.lease_timeout + 1.0, Kind.STOP: STOP_BOUND, Kind.REVOKE: LOSS_BOUND}
    claim = f"{fault.kind.value}: another led after"
    following = successor(fault, record.terms)
    if following is None:
        return Check(claim, "nobody followed", ok=False)
    return _bounded(claim, fault.at, following.entered, bounds[fault.kind], record)


def _bounded(claim: str, since: float, until: float, bound: float, record: Record) -> Check:
    """A bound holds for etcd; the time for which the machine itself was stalled comes on top."""
    slack = stalled(record.stalls, since, until)
    measured = f"{_seconds(max(0.0, until - since))}, bound {bound:g} s"
    if slack and until - since > bound:
        measured += f" (and {_seconds(slack)} for which the machine was stalled)"
    return Check(claim, measured, until - since <= bound + slack)


def _apart(claim: str, pairs: Iterable[tuple[Term, Term]]) -> Check:
    worst = max(pairs, key=lambda pair: overlap(*pair), default=None)
    if worst is None:
        return Check(claim, "there was no other term", ok=False)
    both = overlap(*worst)
    if both > 0:
        one, other = worst
        measured = f"{one.holder} (token {one.token}) and {other.holder} (token {other.token}) for {_seconds(both)}"
        return Check(claim, measured, ok=False)
    return Check(claim, f"{_seconds(-both)} between them at least", ok=True)


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"
