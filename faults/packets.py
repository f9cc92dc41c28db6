"""Packets of some ports of loopback, dropped by the kernel for a while."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable

from aioelection.embedded._uncancelled import uncancelled

# The rule goes when the standard input ends, by whatever means whoever holds the other end of it has ended. It does not
# come before a line: a start that is cancelled is killed.
SCRIPT = """
trap '' HUP INT TERM
read -r _ || exit
rule="-i lo -p tcp -m multiport --ports $1 -m comment --comment aioelection-faults -j DROP"
iptables -w -I INPUT $rule || exit
echo dropping
cat >/dev/null
iptables -w -D INPUT $rule
"""


class PacketRuleFailed(Exception):
    """The rule was refused, or is still there."""


@functools.cache
def missing() -> str:
    """What it takes to drop packets, and is not there."""
    if shutil.which("iptables") is None:
        return "takes iptables"
    if os.geteuid() != 0:
        return "takes root"
    probe = subprocess.run(["iptables", "-w", "-S", "INPUT"], capture_output=True, check=False)
    return f"takes the right to use iptables: {probe.stderr.decode().strip()}" if probe.returncode else ""


@contextlib.asynccontextmanager
async def dropped(ports: Iterable[int]) -> AsyncIterator[None]:
    """Nothing gets to or from these inside the block; connections stay open. At most 15."""
    command = ["sh", "-c", SCRIPT, "packets", ",".join(map(str, ports))]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        process.stdin.write(b"go\n")
        if not await process.stdout.readline():
            raise PacketRuleFailed((await process.stderr.read()).decode().strip())
        yield
    finally:
        process.stdin.close()
        await uncancelled(process.wait())
    if process.returncode:
        raise PacketRuleFailed((await process.stderr.read()).decode().strip())
