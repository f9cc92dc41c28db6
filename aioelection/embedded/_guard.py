"""The guard: a small process that owns etcd's processes and their data, so that nothing outlives us.

    python -I -S _guard.py FOLDER

It makes FOLDER, runs what its standard input asks for, and tells what became of it, in lines of JSON:

    in   {"run": NAME, "argv": [...], "log": PATH}
    out  {"run": NAME, "pid": PID}   or   {"run": NAME, "error": TEXT}
    out  {"exit": NAME, "code": CODE}

When its input ends, its parent is gone or it is asked to terminate, it kills and reaps every process
and removes FOLDER. If the guard itself is killed, Linux kills its processes (`PR_SET_PDEATHSIG`).
This file is a script, never imported, and must run without site-packages.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
# The input does not end while a forked child of our parent holds a copy of the pipe: look as well
# whether the parent is still there, this often (seconds).
PARENT_POLL = 0.5


def tell(**message: Any) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def remove(folder: str) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(parent, name))
        for name in folders:
            os.rmdir(os.path.join(parent, name))
    os.rmdir(folder)


class Guard:
    def __init__(self) -> None:
        self.parent = os.getppid()
        self.ending = False
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        # A thread of the parent may have blocked signals, and a process inherits that.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self.wake, wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for end in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(end, self.end)

    def end(self, *_: object) -> None:
        self.ending = True

    def serve(self) -> None:
        pending = b""
        while not self.ending and os.getppid() == self.parent:
            readable, _, _ = select.select([0, self.wake], [], [], PARENT_POLL)
            if self.wake in readable:
                os.read(self.wake, 4096)
            self.tell_exits()
            if 0 in readable:
                data = os.read(0, 65536)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self.run(**json.loads(line))

    def run(self, run: str, argv: list[str], log: str) -> None:
        try:
            with open(log, "ab") as output:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    preexec_fn=self.die_with_guard(os.getpid()),  # noqa: PLW1509 - no threads here
                )
        except OSError as error:
            tell(run=run, error=str(error))
            return
        self.processes[run] = process
        tell(run=run, pid=process.pid)

    def die_with_guard(self, guard: int) -> Any:
        def in_child() -> None:
            if self.libc is not None:
                self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != guard:  # it died before the call
                    os._exit(1)

        return in_child

    def tell_exits(self) -> None:
        for name, process in list(self.processes.items()):
            code = process.poll()
            if code is not None:
                del self.processes[name]
                tell(exit=name, code=code)

    def kill_all(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


def main() -> None:
    folder = sys.argv[1]
    guard = Guard()
    os.mkdir(folder, 0o700)
    try:
        guard.serve()
    finally:
        guard.kill_all()
        remove(folder)


if __name__ == "__main__":
    main()
