"""Every event as a log record, with its fields beside the text.

What the library itself logs, as ``aioelection``, does not need this: it tells the wins and losses of terms and what is
wrong, with ``key``, ``purpose``, ``token`` and ``reason`` in each record that they concern. This tells all the rest.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import re

from aioelection._core.events import (
    BodyOverran,
    Event,
    LoopStalled,
    RenewalAnswered,
    RenewalFailed,
    RenewalSent,
    TermEnded,
    TermSuspended,
    text,
)


class LogHook:
    """A hook that logs: renewals at DEBUG, what goes wrong at WARNING, bodies that overrun at ERROR, the rest at INFO.

    A record's ``extra`` has ``event``, the event's name, and each of its fields that says something.

    Args:
        logger: a logger, or the name of one.
    """

    def __init__(self, logger: logging.Logger | str = "aioelection.events") -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def __call__(self, event: Event) -> None:
        """Log the event."""
        level = _level(event)
        if self._logger.isEnabledFor(level):
            name, fields = type(event).__name__, _fields(event)
            told = " ".join(f"{each}={value!r}" for each, value in fields.items())
            words = re.sub(r"(?<=.)(?=[A-Z])", " ", name).lower()
            self._logger.log(level, "%s: %s", words, told, extra={"event": name, **fields})


def _level(event: Event) -> int:
    match event:
        case RenewalSent() | RenewalAnswered():
            return logging.DEBUG
        case BodyOverran():
            return logging.ERROR
        case TermEnded(lost=True) | TermSuspended() | LoopStalled() | RenewalFailed():
            return logging.WARNING
        case _:
            return logging.INFO


def _fields(event: Event) -> dict[str, object]:
    """The event's fields as plain values; what can only be called, and what is not known, is left out."""
    found = {each.name: _plain(getattr(event, each.name)) for each in dataclasses.fields(event)}
    return {name: value for name, value in found.items() if value is not None and not callable(value)}


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float):
        return round(value, 6)
    return text(value) if isinstance(value, bytes) else value
