"""How long to wait for an answer before somebody else is asked as well."""

from __future__ import annotations

SHORTEST = 0.15
"""Seconds. With it the worst gap between renewals was 0.16 s when a follower of etcd's froze (measured on 3.5.1)."""

PATIENCE = 4.0
"""How many usual round trips an answer may take before it counts as late."""

WEIGHT = 0.2
"""What one round trip counts in the average."""


class HedgeDelay:
    """Learns the usual round trip, so that a slow network is not asked everything twice."""

    __slots__ = ("_usual",)

    def __init__(self) -> None:
        self._usual = 0.0

    def took(self, seconds: float) -> None:
        """A request was answered after that time."""
        self._usual += WEIGHT * (seconds - self._usual)

    @property
    def seconds(self) -> float:
        return max(SHORTEST, PATIENCE * self._usual)
