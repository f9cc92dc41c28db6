"""The figures, one file each; a worker imports only the one that it measures."""

from __future__ import annotations

import importlib

from benchmarks.figure import Figure

NAMES = (
    "handover",
    "campaign",
    "campaign_shared",
    "guarded_txn",
    "check",
    "renewal",
    "shared_lease",
    "own_leases",
    "scale",
    "crowd",
    "observers",
    "crash",
    "imports",
)


def figures(names: tuple[str, ...] = NAMES) -> list[Figure]:
    return [importlib.import_module(f"benchmarks.figures.{name}").FIGURE for name in names]
