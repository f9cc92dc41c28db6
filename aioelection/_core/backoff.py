"""How long to wait before trying again."""

from __future__ import annotations


def backoff(failures: int, spread: float, *, first: float = 0.05, longest: float = 1.0) -> float:
    """Seconds to wait after that many failures in a row: doubling, capped, and spread so that crowds come apart.

    ``spread`` is a random number from 0 to 1; half of the time is fixed, half is drawn.
    """
    full = min(longest, first * 2.0 ** min(max(failures - 1, 0), 20))
    return full * (0.5 + 0.5 * spread)
