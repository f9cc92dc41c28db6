"""Telling hooks what happens, whatever they do."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable

from aioelection._core.events import Event, Hook
from aioelection.errors import InvalidConfiguration

log = logging.getLogger("aioelection")


class Hooks:
    """Tells every event to each hook. One that raises harms nobody: that is logged once, and it is told on."""

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self._hooks = hooks
        self._complained: set[int] = set()
        """The numbers of the hooks that have raised."""

    def tell(self, event: Event) -> None:
        for number, hook in enumerate(self._hooks):
            try:
                hook(event)
            except (Exception, asyncio.CancelledError):  # the latter is nobody's cancellation
                if number not in self._complained:
                    self._complained.add(number)
                    log.exception("the hook %s failed at %r; it is not complained of again", _name(hook), event)


def _name(hook: Hook) -> str:
    """Not its repr, which may show more than its name."""
    return str(getattr(hook, "__qualname__", type(hook).__qualname__))


def hooks_of(hooks: Hook | Iterable[Hook]) -> Hooks | None:
    """What tells them; ``None``, which costs nothing, where there are none.

    Raises:
        InvalidConfiguration: it is neither a plain callable nor an iterable of them.
    """
    if callable(hooks):
        hooks = (hooks,)
    if not isinstance(hooks, Iterable):
        raise InvalidConfiguration(f"hooks must be a callable or several, not {hooks!r}")
    several = tuple(hooks)
    for each in several:
        if not callable(each) or inspect.iscoroutinefunction(each):
            raise InvalidConfiguration(f"each of hooks must be a plain callable, not {each!r}")
    return Hooks(several) if several else None
