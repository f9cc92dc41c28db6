"""How often a leadership was campaigned for lately: PD's guard against a leader that keeps winning and failing."""

from __future__ import annotations

WINDOW = 300.0
"""Seconds for which a campaign counts (PD's ``campaignTimesRecordTimeout`` is 5 minutes)."""


class CampaignTimes:
    """Campaigns in a sliding window; older ones are dropped when another is added, as in PD."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float) -> None:
        self._times = [each for each in self._times if now - each <= WINDOW]
        self._times.append(now)

    def reset(self) -> None:
        self._times.clear()

    def __len__(self) -> int:
        return len(self._times)
