"""A soak that is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faults.records import Final, read
from tests.support import eventually, soon


def processes_of(folder: Path) -> list[str]:
    """The contenders and their like, which are told the file to write to."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = each.read_text()
            found += [command] if f"--log={folder}" in command else []
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="takes /proc")
async def test_a_soak_that_is_terminated_sums_up_and_leaves_nothing(tmp_path: Path) -> None:
    options = ["--minutes=5", "--seed=7", f"--folder={tmp_path}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "faults", "soak", *options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        seen = ""
        while " s  " not in seen:  # a fault has been done
            seen = (await soon(process.stdout.readline(), 40)).decode()
            assert seen, "it has ended by itself"
        assert processes_of(tmp_path)
        process.send_signal(signal.SIGTERM)
        told = (await soon(process.stdout.read(), 50)).decode()
        assert await soon(process.wait()) in {0, 1}, told  # a machine under load may have exceeded a bound
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "stopped" in told
    assert " faults in " in told
    assert " violations; see " in told
    assert any(isinstance(each, Final) for each in read(tmp_path))
    assert "</html>" in (tmp_path / "report.html").read_text()
    await eventually(lambda: not processes_of(tmp_path))
