"""A command under guard: the supervisor's end of the guardian (`_guardian.py` tells why there is one)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import anyio

from aioelection._aio.clock import Clock
from aioelection.cli import _guardian

_SCRIPT = Path(_guardian.__file__)

LATE = 0.2
"""Seconds that the guardian may be late with killing before the supervisor does it, and kills the guardian too."""

LOOK = 0.05
"""Seconds between two looks whether the guardian is up to its duty."""

SILENCE = 2.0
"""Seconds for which the guardian may leave deadlines unanswered: one that is stopped guards nothing."""

FOREVER = float("inf")


class Command:
    """One command, and the guardian that runs it; the guardian is started beforehand, which saves time after the win.

    Left, nothing of either is left.
    """

    def __init__(self, clock: Clock, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._clock = clock
        self._deadline = FOREVER
        self._kill_at = FOREVER
        self._unheard_since = FOREVER
        """When the first deadline was told that has not been answered."""
        self._gone = asyncio.Event()
        self.started = False
        self.pid: int | None = None
        self.code: int | None = None
        """How the command ended, as ``subprocess`` has it; ``None`` while it has not, or was never started."""
        self.error: OSError | None = None
        """Why it could not be started."""
        self.overdue = asyncio.Event()
        """The guardian ended it, or did not start it, because the deadline had come near."""
        self._pending = b""
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        with theirs:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT), str(theirs.fileno()), *argv],
                pass_fds=[theirs.fileno()],
                env=dict(environment),
                start_new_session=True,  # what the terminal sends is for the supervisor to pass on
            )

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._ours, self._listen)
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            if self.running:
                await self.destroy()
            self._hang_up()
            await self._reap_guardian()

    @property
    def guarded(self) -> bool:
        """Whether the guardian is there, as far as is known."""
        return self._ours.fileno() >= 0

    @property
    def running(self) -> bool:
        """Whether anything of it may be at work."""
        return self.started and not self._gone.is_set()

    def start(self, environment: Mapping[str, str], *, deadline: float, warning: float, grace: float) -> None:
        """Start it, to be asked to end ``warning`` seconds before the deadline, and ``grace`` before it is killed."""
        self.started = True
        self._deadline = deadline
        self._tell(run=dict(environment), deadline=deadline, warning=warning, grace=grace)

    def move(self, deadline: float) -> None:
        """The term lasts until then."""
        self._deadline = deadline
        if self.pid is not None:
            self._unheard_since = min(self._unheard_since, self._clock.now())
        self._tell(deadline=deadline)

    def signal(self, number: int) -> None:
        """Pass a signal on to the command's first process."""
        self._tell(signal=number)

    def stop(self, number: int, kill_at: float) -> None:
        """Have all of it end, by force at that instant at the latest."""
        self._kill_at = min(self._kill_at, kill_at)
        self._tell(stop=number, kill_at=kill_at)

    async def wait(self) -> None:
        """Until nothing of it is left. Where the guardian is not up to its duty, that is done here."""
        while not await self._clock.wait(self._gone, min(self._clock.now() + LOOK, self._overdue_at)):
            if self._must_act():
                await asyncio.sleep(_guardian.SWEEP)  # what it has said while we were stopped is heard first
                if self._must_act() and not self._gone.is_set():
                    await self._do_its_work()

    def _must_act(self) -> bool:
        return not self.guarded or self._clock.now() >= self._overdue_at

    async def destroy(self) -> None:
        """Kill all of it."""
        self.stop(signal.SIGKILL, self._clock.now())
        await self.wait()

    @property
    def _overdue_at(self) -> float:
        return min(self._kill_at + LATE, self._deadline, self._unheard_since + SILENCE)

    # ------------------------------------------------------------------ the guardian

    def _tell(self, **message: Any) -> None:
        """What it does not take, since it is gone or has stopped, is lost: that is noticed by what it does not say.

        No stream of asyncio's: a write that fails would take what has not been read yet with it, such as the exit.
        """
        with contextlib.suppress(OSError):
            self._ours.send(json.dumps(message).encode() + b"\n")

    def _listen(self) -> None:
        try:
            data = self._ours.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._told(json.loads(line))
        if not data:
            self._hang_up()

    def _hang_up(self) -> None:
        if self.guarded:
            asyncio.get_running_loop().remove_reader(self._ours)
            self._ours.close()

    def _told(self, message: dict[str, Any]) -> None:
        if "overdue" in message:
            self.overdue.set()
        self.pid = message.get("pid", self.pid)
        if "heard" in message:
            self._unheard_since = FOREVER
        if "error" in message:
            self.error = OSError(message["errno"], message["error"])
            self._gone.set()
        if "exit" in message:
            self.code = message["exit"]
            self._gone.set()

    async def _do_its_work(self) -> None:
        """Kill what is below the guardian, which is stopped or too slow, and then it; or what it has left to us."""
        await self._finish_off(lambda: _guardian.below(self._guardian.pid))
        if self._guardian.poll() is None:
            self._guardian.kill()
        else:
            while self.guarded:  # until all that it has said is heard: it may have done its work
                self._listen()
            if not self._gone.is_set():
                await self._finish_off(lambda: _guardian.below(os.getpid()))
                _reap_orphans()
        self._over()

    async def _finish_off(self, find: Callable[[], list[int]]) -> None:
        while not self._gone.is_set() and (left := find()):
            _guardian.send(signal.SIGKILL, *left)
            await asyncio.sleep(_guardian.SWEEP)

    def _over(self) -> None:
        if self._gone.is_set():
            return
        self.code = -signal.SIGKILL if self.code is None else self.code
        self._gone.set()

    async def _reap_guardian(self) -> None:
        """It ends by itself when it has no command and we hang up; a stopped one does not."""
        patience = self._clock.now() + LATE
        while self._guardian.poll() is None:
            if self._clock.now() >= patience:
                self._guardian.kill()
            await asyncio.sleep(_guardian.SWEEP)


def _reap_orphans() -> None:
    """What the guardian has left to us; we have no other children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
