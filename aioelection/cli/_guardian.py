"""The guardian: a small process between `aioelection run` and its command, so that nothing outlives the lease.

    python -I -S _guardian.py FD COMMAND...

FD is a socket to the supervisor, which tells each new deadline. The guardian starts the command in a session of its
own, and ends all of it when it is told to, when the supervisor is gone, or when the deadline comes near and no later
one was told: then the supervisor is frozen, blocked, or cut off from etcd. Lines of JSON, instants on `now()`:

    in   {"run": {}, "deadline": T, "warning": S, "grace": S}   start it, with that added to its environment
    in   {"deadline": T}
    in   {"signal": N}              for the command's first process
    in   {"stop": N, "kill_at": T}  end all: N first, SIGKILL at T
    out  {"pid": PID} or {"error": TEXT, "errno": N}
    out  {"heard": T}               the answer to a deadline, once there is a command
    out  {"overdue": T}             the deadline came near: all is being ended
    out  {"exit": CODE}             nothing of the command is left

On Linux it is a subreaper: what the command starts stays below it, whatever sessions and parents that makes for itself.
If the guardian itself is killed, Linux kills the command's first process (`PR_SET_PDEATHSIG`), and the supervisor the
rest. This file is run as a script, without site-packages, and starts fast; the supervisor imports what it shares.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

MARGIN = 0.1
"""Seconds before the deadline at which what is left is killed: for waking up late, and for dying."""

SLICE = 0.2
"""Seconds between looks at the clock, which counts a suspend, while the time for which `select` waits does not."""

SWEEP = 0.005
"""Seconds between two rounds of killing, at first."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LINUX = sys.platform == "linux"

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """The time by which the library judges leases; the same in all processes of a machine."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


def prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """From now on what loses its parent below this process becomes its child, not init's."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def below(ancestor: int) -> list[int]:
    """The processes that descend from this one and run, where /proc tells."""
    if not LINUX:
        return []
    children: dict[int, list[int]] = {}
    dead = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # it may have just ended
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
                children.setdefault(int(parent), []).append(int(name))
                if state in b"ZX":
                    dead.add(int(name))
    found, left = [], [ancestor]
    while left:
        for pid in children.get(left.pop(), ()):
            left.append(pid)
            if pid not in dead:
                found.append(pid)
    return found


def send(number: int, *pids: int) -> None:
    """Send a signal; a process that has ended meanwhile, or is not ours to signal, is passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class Command:
    """The command's first process, its group, and whatever they have started."""

    def __init__(self, argv: list[str], deadline_fd: int) -> None:
        guardian = os.getpid()

        def in_child() -> None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guardian:  # it died before the call
                os._exit(1)

        process = subprocess.Popen(
            argv,
            pass_fds=[deadline_fd],
            start_new_session=True,
            preexec_fn=in_child,  # noqa: PLW1509 (no threads here)
        )
        self.pid = process.pid
        self.code: int | None = None
        """How the first process ended; `None` while it runs."""
        process.returncode = 0  # it is reaped here, with all others

    def all_gone(self) -> bool:
        """Reap what has ended, and tell whether nothing is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return LINUX or not self._group_lives()
            if pid == 0:
                return False
            if pid == self.pid:
                self.code = os.waitstatus_to_exitcode(status)

    def signal_first(self, number: int) -> None:
        if self.code is None:
            send(number, self.pid)

    def signal_all(self, number: int) -> None:
        """Signal the whole group at one instant, and then those who have left it."""
        if self.code is None or not LINUX:  # later the group's number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
        for pid in below(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGKILL or self.code is not None or os.getpgid(pid) != self.pid:
                    send(number, pid)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return False
        return True


class Guardian:
    """Serves one supervisor, and one command."""

    def __init__(self, supervisor: socket.socket, argv: list[str]) -> None:
        self.supervisor: socket.socket | None = supervisor
        self.argv = argv
        self.pending = b""
        self.command: Command | None = None
        self.deadline = float("-inf")
        self.warning = 0.0
        self.grace = 0.0
        self.forced_at = float("inf")
        """When what is being stopped is killed."""
        self.stopping = False
        self.deadline_fd = deadline_file()
        self.wake = wake_on_signals()

    @property
    def kill_at(self) -> float:
        return min(self.forced_at, self.deadline - MARGIN)

    def serve(self) -> None:
        """Until the command and all of its processes are gone, or the supervisor is and there is no command."""
        while True:
            if self.command is None:
                if self.supervisor is None:
                    return
            elif self.command.all_gone():
                self.tell(exit=self.command.code)
                return
            else:
                self.see_to(self.command)
            listening: list[Any] = [self.wake] if self.supervisor is None else [self.wake, self.supervisor]
            readable, _, _ = select.select(listening, [], [], self.patience())
            if self.wake in readable:
                os.read(self.wake, 4096)
            if self.supervisor in readable:
                self.listen()

    def see_to(self, command: Command) -> None:
        """Do what the time asks for."""
        if now() >= self.kill_at:
            if not self.stopping:  # without a grace there was no moment to ask in
                self.tell(overdue=self.deadline)
            self.stopping = True
            command.signal_all(signal.SIGKILL)
        elif not self.stopping:
            if now() >= self.kill_at - self.warning:
                self.tell(overdue=self.deadline)
                self.stop(signal.SIGTERM)
            elif command.code is not None:  # it has left others behind
                self.stop(signal.SIGTERM)

    def patience(self) -> float | None:
        """Seconds until the time may ask for something."""
        if self.command is None:
            return None
        left = self.kill_at - now()
        if left <= 0:  # killing goes on, more slowly where it does not help
            return min(SLICE, max(SWEEP, -left))
        return min(SLICE, left if self.stopping else max(left - self.warning, 0.0))

    def stop(self, number: int, kill_at: float = float("inf")) -> None:
        """End all of it: with a signal, and a moment later by force. Once begun, a later order can only hasten it."""
        self.forced_at = min(self.forced_at, kill_at, now() + self.grace)
        if self.command is not None and not self.stopping:
            self.stopping = True
            self.command.signal_all(number)
            self.command.signal_all(signal.SIGCONT)  # what is stopped cannot heed it

    # ------------------------------------------------------------------ the supervisor

    def tell(self, **message: Any) -> None:
        if self.supervisor is not None:
            with contextlib.suppress(OSError):  # it is gone, which `listen` will find
                self.supervisor.sendall(json.dumps(message).encode() + b"\n")

    def listen(self) -> None:
        assert self.supervisor is not None
        try:
            data = self.supervisor.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.supervisor.close()
            self.supervisor = None
            self.stop(signal.SIGTERM)
            return
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))

    def obey(self, order: dict[str, Any]) -> None:
        if "deadline" in order:
            self.deadline = order["deadline"]
            os.pwrite(self.deadline_fd, f"{self.deadline - MARGIN:20.3f}\n".encode(), 0)
            if self.command is not None:
                self.tell(heard=self.deadline)
        if "run" in order:
            self.warning, self.grace = order["warning"], order["grace"]
            self.run(order["run"])
        if "signal" in order and self.command is not None:
            self.command.signal_first(order["signal"])
        if "stop" in order:
            self.stop(order["stop"], order["kill_at"])

    def run(self, env: dict[str, str]) -> None:
        if now() >= self.kill_at - self.warning:  # we were frozen, or the supervisor was
            self.tell(overdue=self.deadline)
            self.tell(exit=None)
            sys.exit()
        os.environ.update(env, AIOELECTION_DEADLINE_FD=str(self.deadline_fd))
        try:
            self.command = Command(self.argv, self.deadline_fd)
        except OSError as error:
            self.tell(error=error.strerror, errno=error.errno)
            sys.exit()
        self.tell(pid=self.command.pid)


def deadline_file() -> int:
    """A file without a name, for the command to read the deadline from."""
    if LINUX:
        return os.memfd_create("aioelection-deadline", 0)
    import tempfile  # noqa: PLC0415 (slow)

    fd, path = tempfile.mkstemp()
    os.unlink(path)
    return fd


def wake_on_signals() -> int:
    """A descriptor that can be read after a signal. None ends the guardian: it ends when the command has.

    A handler that does nothing is not passed on to the command, as ignoring a signal would be.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a thread of the supervisor may have blocked some
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    return readable


def main() -> None:
    supervisor = socket.socket(fileno=int(sys.argv[1]))
    supervisor.set_inheritable(False)
    adopt_orphans()
    Guardian(supervisor, sys.argv[2:]).serve()


if __name__ == "__main__":
    main()
