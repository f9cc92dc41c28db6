"""What any test may leave behind: nothing. Each leftover is an error of the test that made it.

Warnings are errors by pytest's configuration, and with them what is raised in a finalizer and what
is closed by the garbage collector only (loops, transports, files). Here is checked what gives no
warning: the complaints that asyncio writes to its log, tasks, gRPC channels, etcd processes.

A fixture set up earlier is torn down later. So those here come first: automatic, the widest scope
first, and within one scope in the order of their names.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytest_aioelection", "pytester", "tests.etcd", "tests.support"]

# A process inherits this whatever becomes of its parents, so that orphans are found as well. Each
# worker of xdist runs this file, and so looks after its own.
os.environ["AIOELECTION_TESTS_OF"] = str(os.getpid())
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a job of a shell in the background inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

MARK = f"AIOELECTION_TESTS_OF={os.getpid()}".encode()


def running_etcds() -> list[str]:
    """The etcd processes started by this process or by what it started, where /proc tells."""
    parents, etcds = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            parents[folder.name] = parent
            if name == "etcd" and state not in "ZX":
                marked = MARK in (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                etcds[folder.name] = (marked, command)
        except OSError:  # it has just ended, or is another user's
            continue

    def is_ours(pid: str) -> bool:
        while pid in parents:
            if pid == str(os.getpid()):
                return True
            pid = parents[pid]
        return False

    return [f"{pid}: {cmd}" for pid, (marked, cmd) in etcds.items() if marked or is_ours(pid)]


@pytest.fixture(scope="session", autouse=True)
def _a_no_etcd_left() -> Iterator[None]:
    yield
    patience = time.monotonic() + 3
    while (left := running_etcds()) and time.monotonic() < patience:
        time.sleep(0.05)
    if left:
        pytest.fail("etcd processes left running:\n" + "\n".join(left), pytrace=False)


def open_channels() -> set[object]:
    """The gRPC channels that the library has open; tests that never connect do not load gRPC."""
    adapter = sys.modules.get("aioelection._transport.aetcd")
    return set(adapter.open_channels()) if adapter else set()


class Complaints(logging.Handler):
    """Keeps the errors logged: a task destroyed while pending, an exception never retrieved."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = logging.Formatter().format(record)
        if not is_of_an_earlier_loop(text):
            self.texts.append(text)


def is_of_an_earlier_loop(text: str) -> bool:
    """gRPC's queue of events is the process's, not the loop's: that a call has ended, which was cancelled just before
    its loop was closed, may be told in the loop of the next test. No program that has one loop can see it.
    """
    return "PollerCompletionQueue._handle_events" in text and text.endswith("RuntimeError: Event loop is closed")


@pytest.fixture(autouse=True)
def _a_nothing_left() -> Iterator[None]:
    complaints = Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    before = open_channels()
    yield  # the test, its other fixtures, and the end of its event loop
    gc.collect()
    logger.removeHandler(complaints)
    problems = [f"asyncio complained: {text}" for text in complaints.texts]
    problems += [f"gRPC channel left open: {channel!r}" for channel in open_channels() - before]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
async def _b_no_task_left() -> AsyncIterator[None]:
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:  # one that was cancelled in time needs a moment to end
        _, left = await asyncio.wait(left, timeout=0.1)
    if left:
        tasks = "\n".join(map(repr, left))
        pytest.fail(f"asyncio tasks left running:\n{tasks}", pytrace=False)


def pytest_collection_finish() -> None:
    """What is imported by now stays: `gc.collect` after each test need not look at it."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Only where there is a loop: an automatic async fixture would start one for every test.
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            names = item.fixturenames
            names.insert(names.index("_a_nothing_left") + 1, "_b_no_task_left")
