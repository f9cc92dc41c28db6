"""Fencing, on the side of the resource: a token below the highest that was seen is refused."""

from __future__ import annotations

import threading

from aioelection._core.checks import LARGEST_REVISION
from aioelection.errors import InvalidConfiguration, StaleToken


class FenceGuard:
    """Keeps the highest fencing token that one resource has seen, and refuses every lower one.

    A token is a term's ``fencing_token``: the create revision of its leader key, a whole number from 1, which rises
    strictly with the terms of one key in one etcd cluster. Tokens of different keys or clusters do not compare: keep a
    guard for each resource, and let one key's leaders write to it. After etcd was restored from an older backup its
    revisions, and so the tokens, go back (who has seen it raises ``TokenWentBack``); every new leader is refused then
    until ``highest`` is lowered on purpose.

    It lives in the memory of one process, and a restart forgets it: store ``highest`` together with the data and start
    from there, or let the data's own transaction compare the token, which needs no guard. All methods may be called
    from any thread.

    Args:
        highest: the highest token that the resource has seen so far, as it was stored; 0 if none.

    Raises:
        InvalidConfiguration: ``highest`` is no whole number from 0.
    """

    __slots__ = ("_highest", "_lock")

    def __init__(self, highest: int = 0) -> None:
        self._highest = _whole(highest, "highest", least=0)
        self._lock = threading.Lock()

    @property
    def highest(self) -> int:
        """The highest token seen; 0 if none was."""
        return self._highest

    def check(self, token: int) -> None:
        """Accept a token at least as high as every one before it, and remember it.

        Check right before the write, with nothing in between: no ``await``, and among threads under the lock that the
        write takes too. Else a newer leader may write between the check and the write of an older one.

        Raises:
            StaleToken: a higher one was seen; whoever sent this one leads no more.
            InvalidConfiguration: it is no whole number from 1: a missing token is no token.
        """
        token = _whole(token, "token", least=1)
        with self._lock:
            if token < self._highest:
                raise StaleToken(token, self._highest)
            self._highest = token

    def __repr__(self) -> str:
        return f"<FenceGuard {self._highest}>"


def _whole(value: object, name: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_REVISION:
        raise InvalidConfiguration(f"{name} must be a whole number from {least} to {LARGEST_REVISION:,}, not {value!r}")
    return value
