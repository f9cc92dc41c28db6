"""When the machine itself was stalled: a bound on what etcd does cannot hold while nothing runs."""

from __future__ import annotations

import threading
from typing import Self

from aioelection.cli._checks import Stall
from aioelection.cli._reports import now

NAP = 0.005
TOLERANCE = 0.02
"""Seconds by which a thread may wake late without any stall."""


class StallMeter:
    """A thread that wakes all the time, for the life of a ``with`` block, and notes where it did not."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="stall meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _measure(self) -> None:
        while True:
            due = now() + NAP
            if self._end.wait(NAP):
                return
            woke = now()
            if woke - due > TOLERANCE:
                self.stalls.append(Stall(due, woke))
