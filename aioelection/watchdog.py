"""For bodies that may block the event loop: a thread that acts when their time is over and nobody has told them."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aioelection._core import checks
from aioelection._shell.report import fields_of
from aioelection.errors import InvalidConfiguration
from aioelection.term import Term

SLICE = 0.5
"""Seconds between looks: renewals move the deadline, and a suspend does not wake the thread."""

log = logging.getLogger("aioelection")


def end_process(term: Term) -> None:
    """End this process at once, with status 70, and without any clean-up; first write where each thread is."""
    which = fields_of(term)
    log.critical("%r: the event loop is blocked beyond the deadline: ending the process", term, extra=which)
    faulthandler.dump_traceback(sys.__stderr__ or 2)
    os._exit(70)


class Watchdog:
    """Calls ``act(term)`` in a thread of its own when the term's deadline passes while the event loop is blocked.

    ``with Watchdog(term): ...`` around what leads. A blocked loop can cancel nothing; what it is blocked by goes on
    while another leads. The thread can cut the connection that it uses, or, by default, end the process: nothing can
    undo what a deposed leader still does, but it can be stopped. A call into C that holds the GIL stops the thread too.

    Args:
        term: the term to look after.
        act: called with the term. It runs beside the blocked loop, and must not touch asyncio.
        grace: seconds that the loop is given after the deadline to tell the loss itself.

    Raises:
        InvalidConfiguration: an argument cannot work.
    """

    def __init__(self, term: Term, act: Callable[[Term], object] = end_process, *, grace: float = 0.25) -> None:
        if not isinstance(term, Term):
            raise InvalidConfiguration(f"term must be a Term, not {term!r}")
        checks.function(act, "act")
        self._term = term
        self._act = act
        self._grace = checks.seconds(grace, "grace")
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watchdog of {term!r}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()

    def _watch(self) -> None:
        while not (self._left.is_set() or self._term.lost.is_set()):
            remaining = self._term.remaining()
            if remaining > 0:
                self._left.wait(min(remaining, SLICE))
            elif not (self._left.wait(self._grace) or self._term.lost.is_set()):
                self._act(self._term)
                return
