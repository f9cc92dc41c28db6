"""Candidates of one client for one key, in line: the first stands, the others wait for its place.

Were all of them to stand, each hand-over would wake them all, for one to win.
"""

from __future__ import annotations

from typing import Protocol


class InLine(Protocol):
    def interrupt(self) -> None:
        """Look up: perhaps it is your turn."""


class Line:
    def __init__(self) -> None:
        self._waiting: dict[InLine, None] = {}

    @property
    def first(self) -> InLine | None:
        return next(iter(self._waiting), None)

    def join(self, candidate: InLine) -> None:
        self._waiting[candidate] = None

    def leave(self, candidate: InLine) -> None:
        first = self.first
        self._waiting.pop(candidate, None)
        if candidate is first and self.first is not None:
            self.first.interrupt()

    def give_way(self, candidate: InLine) -> None:
        """Go to the end of the line: others may succeed where this one cannot now."""
        self.leave(candidate)
        self.join(candidate)
