"""The lines that a command writes of what the library logs, on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

OLD_ETCD = "issue 15247"
"""What is told of by connecting, and concerns those who lead."""

TOLD_BY_US = ("%r", "%r: left to expire: %s")
"""The loss of a term, and what becomes of its lease: `run` tells of both in its own words."""


def set_up(hidden: Callable[[logging.LogRecord], bool]) -> None:
    """Write log records as lines like all others, but for those that are hidden."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not hidden(record))
    logging.basicConfig(format="aioelection: %(message)s", handlers=[handler])


def for_asking() -> None:
    """For those who only ask."""
    set_up(lambda record: OLD_ETCD in str(record.msg))


def for_running(*, quiet: bool, verbose: bool) -> None:
    """For whoever stands; `verbose` hides nothing."""
    set_up(lambda record: not verbose and record.name == "aioelection" and record.msg in TOLD_BY_US)
    logging.getLogger("aioelection").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("aioelection.cli").setLevel(logging.WARNING if quiet else logging.INFO)
