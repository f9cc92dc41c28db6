"""systemd's notify protocol: a datagram to a socket that it names (`man sd_notify`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Meant for us, not for the command."""


class Notifier:
    """Tells systemd how it goes; without systemd, nobody."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        ours = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        interval = environment.get("WATCHDOG_USEC", "")
        self._interval = int(interval) / 1e6 if ours and interval.isdecimal() else 0.0

    def tell(self, *words: str) -> None:
        """Such as ``READY=1`` or ``STATUS=leading``."""
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
                to.setblocking(False)
                to.sendto("\n".join(words).encode(), self._address)

    async def feed_watchdog(self) -> None:
        """As long as the event loop runs, where the unit has ``WatchdogSec=``."""
        while self._interval > 0:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._interval / 2)
