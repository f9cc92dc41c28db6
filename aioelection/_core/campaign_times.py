"""How often a leadership was campaigned for lately: PD's guard against a leader that keeps winning and failing."""

from __future__ import annotations

from collections import deque

WINDOW = 300.0
"""Seconds for which a campaign counts (PD's ``campaignTimesRecordTimeout`` is 5 minutes)."""


class CampaignTimes:
    """Campaigns in a sliding window; older ones are dropped when another is added, as in PD."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        while self._times and now - self._times[0] > WINDOW:
            self._times.popleft()
        self._times.append(now)

    def reset(self) -> None:
        self._times.clear()

    def __len__(self) -> int:
        return len(self._times)
