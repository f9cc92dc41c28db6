"""What a candidate tells the demo, one line of JSON each, and the clock that both read.

``at`` is always an instant on that clock, which all processes of a machine share and which counts suspend.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True)
class Moved:
    """A transition of its leadership."""

    at: float
    previous: str
    current: str
    reason: str | None


@dataclass(frozen=True)
class Won:
    """The body of a term was entered."""

    at: float
    token: int


@dataclass(frozen=True)
class Holds:
    """It still believes to lead, until ``deadline`` if no more renewals come."""

    at: float
    token: int
    deadline: float


@dataclass(frozen=True)
class Led:
    """``term.check()`` is false now. It was true at every sample from ``since`` to ``until``."""

    at: float
    token: int
    since: float
    until: float


Report = Moved | Won | Holds | Led

_KINDS: dict[str, type[Report]] = {kind.__name__: kind for kind in (Moved, Won, Holds, Led)}


def encode(report: Report) -> bytes:
    return json.dumps({"kind": type(report).__name__, **asdict(report)}).encode() + b"\n"


def decode(line: bytes) -> Report:
    fields = json.loads(line)
    return _KINDS[fields.pop("kind")](**fields)
