"""A command that writes when it was at work: `worker.py FILE [WORD...]`; a line every few milliseconds, with its token.

The words: `stubborn` ignores SIGTERM and tells of it; `child` works in a second process too, `daemon` in one with a
session and a parent of its own; `trap` ends with status 5 on SIGTERM; `signals` tells of those that may be passed on;
`quit` ends at once with status 7 and leaves the others behind.
"""

import os
import signal
import sys
import time

path, *words = sys.argv[1:]
token = os.environ["AIOELECTION_FENCING_TOKEN"]
file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def tell(what: str) -> None:
    os.write(file, f"{token} {time.clock_gettime(time.CLOCK_BOOTTIME):.4f} {what}\n".encode())


def told(number: int, frame: object) -> None:
    tell(signal.Signals(number).name)


def leave(number: int, frame: object) -> None:
    told(number, frame)
    os._exit(5)


def work(who: str) -> None:
    while True:
        tell(who)
        time.sleep(0.015)


if "stubborn" in words:
    signal.signal(signal.SIGTERM, told)
if "trap" in words:
    signal.signal(signal.SIGTERM, leave)
if "signals" in words:
    for each in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, told)
if "child" in words and os.fork() == 0:
    work("child")
if "daemon" in words and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        work("daemon")
    os._exit(0)
if "quit" in words:
    time.sleep(0.2)
    os._exit(7)
work("first")
