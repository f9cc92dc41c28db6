"""Exit statuses, as every command's help tells them."""

from __future__ import annotations

import signal

NOBODY_LEADS = 1
"""Also a check of the demo that failed."""
USAGE = 2
UNAVAILABLE = 69
"""As sysexits.h has it: a service is unavailable."""
TERM_OVER = 75
"""Temporary failure: it may be tried again."""
REFUSED = 77
"""Permission denied."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""As shells have it."""


def of_signal(number: int) -> int:
    """The status of what a signal has ended, as shells have it."""
    return 128 + number


def of_command(code: int | None) -> int:
    """The status of a command that ended as ``subprocess`` tells it; of one that never was at work, a signal's."""
    if code is None:
        return of_signal(signal.SIGKILL)
    return code if code >= 0 else of_signal(-code)
