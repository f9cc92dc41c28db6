"""Several runs added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from faults.checker.verdict import Figures, Verdict


def total(verdicts: Sequence[Verdict]) -> Verdict:
    """Of all runs, in their order; each keeps the times of its own machine's clock."""
    return Verdict(
        tuple(each for verdict in verdicts for each in verdict.violations),
        _total([each.figures for each in verdicts]),
        tuple(dict.fromkeys(each for verdict in verdicts for each in verdict.warnings)),
    )


def _total(figures: Sequence[Figures]) -> Figures:
    if len(figures) == 1:
        return figures[0]
    appends: Counter[str] = Counter()
    for each in figures:
        appends.update(each.appends)
    available = [(each.availability, each.seconds) for each in figures if each.availability is not None]
    seconds = sum(length for _, length in available)
    return Figures(
        seconds=sum(each.seconds for each in figures),
        terms=sum(each.terms for each in figures),
        availability=sum(part * length for part, length in available) / seconds if seconds else None,
        longest_gap=max((each.longest_gap for each in figures), default=0.0),
        appends=dict(sorted(appends.items())),
        guarded_accepted=sum(each.guarded_accepted for each in figures),
        guarded_refused=sum(each.guarded_refused for each in figures),
        unguarded_violations=sum(each.unguarded_violations for each in figures),
        observations=sum(each.observations for each in figures),
        faults=sum(each.faults for each in figures),
        lost_without_fault=sum(each.lost_without_fault for each in figures),
        revoked_by_etcd=sum(each.revoked_by_etcd for each in figures),
        doubtful=sum(each.doubtful for each in figures),
        recorder_delay=max((each.recorder_delay for each in figures), default=0.0),
        failovers=tuple(failover for each in figures for failover in each.failovers),
    )
