"""What the checker says."""

from __future__ import annotations

import dataclasses
import enum
import statistics
from collections.abc import Iterable, Mapping


class Rule(enum.StrEnum):
    """What can be violated; the value is how a report names it."""

    EXCLUSION = "two believed to lead at once"
    OUTLIVED = "belief outlived the key"
    FOREIGN = "a stranger's deed was noticed too late"
    EARLY = "belief began before the key"
    FINALITY = "belief came back after a loss"
    TOKENS = "tokens do not rise"
    WINNER = "a win that the truth does not know"
    APPEND_LOST = "an acknowledged append is missing"
    APPEND_TWICE = "an append is there twice"
    APPEND_REFUSED = "a refused append is there"
    APPEND_ORDER = "appends out of order"
    APPEND_LATE = "an append of a term that was over"
    APPEND_STRANGE = "an append of a term that never was"
    REGISTER = "the guarded register went back"
    OBSERVER_ORDER = "an observer was told what was not so"
    OBSERVER_END = "an observer did not converge"
    ORPHAN = "something was left behind"
    BODY = "the key was released before the body ended"
    FAILOVER = "failover took too long"
    BOUND = "a bound of the table was exceeded"


@dataclasses.dataclass(frozen=True, slots=True)
class Violation:
    """A rule was violated, for certain."""

    rule: Rule
    at: float
    text: str
    who: str = ""


class End(enum.StrEnum):
    """How a term ended, as far as failover goes."""

    CRASH = "crash"
    """The holder was killed."""
    CRASH_BOTH = "crash of leader and etcd leader"
    FREEZE = "freeze"
    """The holder was frozen, or its event loop blocked."""
    RESIGN = "resign"
    FOREIGN = "foreign"
    """A third party deleted, overwrote or revoked."""
    LOSS = "loss"
    """Anything else: the network, etcd."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failover:
    """From the end of a term to the next win."""

    token: int
    """Of the term that ended."""
    end: End
    at: float
    seconds: float
    bound: float | None
    """What rule 11 promises; ``None`` where another fault overlaps, or where it promises nothing."""
    row: int = 0
    """Of the fault that ended it, in the table of faults; 0: none did."""
    stalled: float = 0.0
    """For how long the machine stood still meanwhile: the bound holds on top of that."""


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """A distribution in five numbers, in seconds."""

    count: int
    least: float
    median: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one value."""
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return cls(len(ordered), ordered[0], statistics.median(ordered), p99, ordered[-1])


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What was measured on the way."""

    seconds: float
    """How long the run was, from its beginning to the last thing written down."""
    terms: int
    availability: float | None
    """The part of the time, from the first belief to the last, in which somebody believed to lead."""
    longest_gap: float
    """The longest time without a leader, in between."""
    appends: Mapping[str, int]
    """By outcome."""
    guarded_accepted: int
    guarded_refused: int
    unguarded_violations: int
    """How often the register without a guard took a token below one that it had taken: expected under freezes."""
    observations: int
    faults: int
    lost_without_fault: int
    """Terms that were lost although no fault was near."""
    revoked_by_etcd: int
    """Leases that were alive, and that etcd revoked when its leader went on after a freeze."""
    doubtful: int
    """What would be a violation if the recorder was told a little late; it cannot be known."""
    recorder_delay: float
    """By how much the recorder was told late, at least once and at least."""
    failovers: tuple[Failover, ...]

    def spreads(self) -> dict[End, Spread]:
        """Failover times by kind."""
        seconds: dict[End, list[float]] = {}
        for each in self.failovers:
            seconds.setdefault(each.end, []).append(each.seconds)
        return {end: Spread.of(seconds[end]) for end in End if end in seconds}


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Of a whole run."""

    violations: tuple[Violation, ...]
    """In the order of time."""
    figures: Figures
    warnings: tuple[str, ...]
    """What lessens the worth of the run."""

    @property
    def ok(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations
