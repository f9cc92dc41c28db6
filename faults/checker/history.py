"""The records of a run, grouped, and what follows from them about time.

The recorder is told of an event after it happened, so that its time is an upper bound only. Two things sharpen it: a
win and an acknowledged append are answers of etcd's that came after their key was created; and events happen in the
order of revisions, so that none is later than what is known of any that follows it.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

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

FOREIGN_BOUND = 1.0
"""Rule 1: a third party's deed is known within that, with etcd healthy."""

HASTY = "a live lease revoked by etcd"
HASTE = 0.5
"""Seconds from when an etcd leader that was frozen goes on to when the last revoke that it still proposes is applied:
the time from one look of its at the leases to the next. Of 439 live leases that 3.5.30 revoked in 45 freezes on a quiet
machine, the last was gone 0.12 s after; in an hour of faults, one 0.32 s after. A belief in a stale acknowledgement
begins to be wrong a lease's time and an election later.
"""

VOLUNTARY = frozenset({"resigned", "closed"})
"""The reasons for which a term ends that its holder gave up."""

AnyRecord = TypeVar("AnyRecord")


class Moment(Protocol):
    """A record of an instant."""

    @property
    def at(self) -> float: ...


class Span(Protocol):
    """A record of a stretch of time."""

    @property
    def begin(self) -> float: ...
    @property
    def end(self) -> float: ...


@dataclasses.dataclass(slots=True)
class Tenure:
    """A term as the truth has it."""

    token: int
    who: str
    lease_id: int
    created: float
    """The key was created no later than this."""
    gone: float | None = None
    """The key was deleted, or overwritten under another lease, no later than this; ``None``: it never was."""
    foreign: Fault | None = None
    """What a third party did that may have ended it."""
    grace: float = 0.0
    """For how long it may be believed in after that: 0 unless the end was foreign."""


@dataclasses.dataclass(frozen=True, slots=True)
class Belief:
    """A contender's belief in a term, from the first interval to the last.

    ``check()`` is never true again after it was false, so that it was true all the while.
    """

    who: str
    token: int
    begin: float
    end: float


class History:
    """All that was written down during a run."""

    def __init__(self, records: Iterable[Record]) -> None:
        by_kind: dict[type[Any], list[Any]] = defaultdict(list)
        for record in records:
            by_kind[type(record)].append(record)

        def of(kind: type[AnyRecord]) -> list[AnyRecord]:
            return by_kind[kind]

        runs = of(Run)
        self.run = runs[0] if runs else Run(0.0, 0, 0, 0.0, (), {})
        self.ttl = max((each.ttl for each in runs), default=0)
        """The longest, if scenarios of several were written down together."""
        self.wins = sorted(of(Won), key=lambda each: each.at)
        self.intervals = sorted(of(Believed), key=lambda each: each.begin)
        self.losses = {(each.who, each.token): each for each in of(Lost)}
        self.ends = of(Ended)
        self.appends = of(Append)
        self.writes = sorted(of(Register), key=lambda each: each.at)
        self.observed = sorted(of(Observed), key=lambda each: each.at)
        self.truth = sorted(of(Truth), key=lambda each: each.revision)
        self.faults = sorted(of(Fault), key=lambda each: each.begin)
        self.thaws = of(Thaw)
        self.stalls = sorted(of(Stall), key=lambda each: each.begin)
        self.measured = of(Measured)
        finals = of(Final)
        self.final = finals[-1] if finals else None

    @functools.cached_property
    def begin(self) -> float:
        """When the first thing was written down."""
        return min(self._times, default=0.0)

    @functools.cached_property
    def end(self) -> float:
        """When the last thing was written down."""
        return max(self._times, default=0.0)

    @functools.cached_property
    def _times(self) -> list[float]:
        times = [self.run.at] if self.run.contenders else []
        moments: Sequence[Sequence[Moment]] = (
            self.wins,
            self.ends,
            self.writes,
            self.observed,
            self.truth,
            [*self.losses.values()],
        )
        spans: Sequence[Sequence[Span]] = (self.intervals, self.faults)
        times += [each.at for group in moments for each in group]
        times += [time for group in spans for each in group for time in (each.begin, each.end)]
        times += [each.answered for each in self.appends]
        return [*times, self.final.at] if self.final else times

    @functools.cached_property
    def beliefs(self) -> list[Belief]:
        """In the order of their beginnings."""
        found: dict[tuple[str, int], Belief] = {}
        for each in self.intervals:
            before = found.get((each.who, each.token))
            begin, end = (before.begin, max(before.end, each.end)) if before else (each.begin, each.end)
            found[each.who, each.token] = Belief(each.who, each.token, begin, end)
        return list(found.values())

    @functools.cached_property
    def not_after(self) -> list[float]:
        """For each event of the truth: it happened no later than this."""
        proofs: dict[int, float] = {each.token: each.at for each in reversed(self.wins)}
        for append in self.appends:
            if append.outcome == "applied":
                proofs[append.token] = min(append.answered, proofs.get(append.token, append.answered))
        times: list[float] = []
        bound = float("inf")
        for event in reversed(self.truth):
            bound = min(bound, event.at)
            if event.token == event.revision and not event.deleted:
                bound = min(bound, proofs.get(event.token, bound))
            times.append(bound)
        return times[::-1]

    @functools.cached_property
    def tenures(self) -> Mapping[int, Tenure]:
        """The terms by token, in the order of the truth."""
        found: dict[int, Tenure] = {}
        last: Tenure | None = None
        for event, time in zip(self.truth, self.not_after, strict=True):
            tenure = found.get(event.token)
            if tenure is None and last is not None and last.gone is None:
                last.gone = time
            if tenure is None and not event.deleted:
                tenure = found[event.token] = last = Tenure(event.token, event.who, event.lease_id, time)
            elif tenure is not None and tenure.gone is None and (event.deleted or event.lease_id != tenure.lease_id):
                tenure.gone = time
        self._blame_strangers(found.values())
        self._blame_etcd(found.values())
        return found

    def _blame_strangers(self, tenures: Iterable[Tenure]) -> None:
        """Find the ends that a third party's deed may explain.

        The event was no later than the deed's end. Belief that lasted for the grace allowed, and that nevertheless
        seems to outlive the key, ended later than the key was *known* to be gone: that was then less than the grace
        after the deed.
        """
        used: set[Fault] = set()
        longest = max(FOREIGN_BOUND, float(self.ttl))
        for tenure in tenures:
            if tenure.gone is None:
                continue
            for deed in self.near(tenure.gone - longest, tenure.gone):
                if not deed.foreign:
                    continue
                calm = self.calm(deed.begin, tenure.gone + FOREIGN_BOUND, but=deed)
                grace = FOREIGN_BOUND if calm else longest
                # A deed is done once: to a later term only if that surely began before the deed was over.
                if tenure.gone < deed.end + grace and (deed not in used or tenure.created <= deed.end):
                    used.add(deed)
                    tenure.foreign, tenure.grace = deed, max(tenure.grace, grace)

    def _blame_etcd(self, tenures: Iterable[Tenure]) -> None:
        """Find the ends that fall into the haste of a frozen member that goes on: it may have revoked a live lease.

        A term that is believed in for too long, by a stale acknowledgement, ends later: the new leader of etcd gives
        every lease its whole time once more.
        """
        believed = {(each.who, each.token): each.end for each in self.beliefs}
        for tenure in tenures:
            gone = tenure.gone
            if gone is None or tenure.foreign is not None or believed.get((tenure.who, tenure.token), gone) <= gone:
                continue
            thaw = next((each for each in self.thaws if 0 <= gone - each.at <= HASTE), None)
            if thaw is not None:
                tenure.foreign = Fault(HASTY, 0, thaw.member, thaw.at, thaw.at + HASTE, foreign=True)
                tenure.grace = max(FOREIGN_BOUND, float(self.ttl))

    def stalled(self, begin: float, end: float) -> float:
        """Seconds for which the machine stood still in that time."""
        return sum(max(0.0, min(each.end, end) - max(each.begin, begin)) for each in self.stalls)

    def calm(self, begin: float, end: float, *, but: Fault | None = None) -> bool:
        """Whether no fault was near, other than ``but`` and what third parties did to the key.

        After a fault etcd and its clients get three election timeouts to recover.
        """
        recovery = 3 * self.run.election_timeout
        return not any(not each.foreign and each is not but for each in self.near(begin - recovery, end))

    def near(self, begin: float, end: float) -> list[Fault]:
        """The faults that overlap that time."""
        first = bisect.bisect_left(self.faults, begin - self._longest_fault, key=_begin)
        last = bisect.bisect_right(self.faults, end, key=_begin)
        return [each for each in self.faults[first:last] if each.end >= begin]

    @functools.cached_property
    def _longest_fault(self) -> float:
        return max((each.end - each.begin for each in self.faults), default=0.0)

    def frozen(self, who: str, begin: float, end: float) -> bool:
        """Whether that contender was frozen in that time."""
        return any(freezes(each) and who in targets(each) for each in self.near(begin, end))

    @functools.cached_property
    def entries(self) -> Counter[tuple[int, int]]:
        """How often each append is in the final list."""
        return Counter(self.final.entries if self.final else ())


def _begin(fault: Fault) -> float:
    return fault.begin


def targets(fault: Fault) -> list[str]:
    """Whom it was done to: a fault in a pair may name several."""
    return re.split(r"[\s,;/+&]+", fault.target)


def freezes(fault: Fault) -> bool:
    """Whether it stops a process, or its event loop, for a while."""
    return fault.row in {4, 5} or re.search("fr[eo]ez|froz|stall|block|suspend", fault.name) is not None
