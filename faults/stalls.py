"""For how long the machine itself stood still: a bound of the library's holds on top of that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

NAP = 0.005


class StallMeter:
    """A thread that wakes all the time, and notes (and tells) from when to when it did not."""

    def __init__(self, tell: Callable[[float, float], None] | None = None) -> None:
        self._tell = tell
        self._stalls: list[tuple[float, float]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="stall meter", daemon=True)

    def since(self, begin: float) -> float:
        """Seconds for which the machine was stalled, from that moment of the monotonic clock on."""
        return sum(woke - max(due, begin) for due, woke in list(self._stalls) if woke > begin)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._end.is_set():
            due = time.monotonic() + NAP
            time.sleep(NAP)
            woke = time.monotonic()
            if woke - due > NAP:
                self._stalls.append((due, woke))
                if self._tell is not None:
                    self._tell(due, woke)
