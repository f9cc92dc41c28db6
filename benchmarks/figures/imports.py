"""What it takes to import the library."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Open, Place, Plan, Samples, side

OPTIONAL = ("prometheus_client", "opentelemetry", "rich", "typer")
"""Packages of the CLI and of metrics: imported only when they are used."""

SCRIPT = """
import sys, time, json
began = time.perf_counter()
import {module}
taken = time.perf_counter() - began
print(json.dumps([taken, sum(each in sys.modules for each in {optional})]))
"""


def importing(module: str) -> Open:
    script = SCRIPT.format(module=module, optional=OPTIONAL)

    async def sample(_: Place, count: int) -> Samples:
        found: Samples = {"time": [], "optional": []}
        for _number in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            output, _errors = await process.communicate()
            taken, optional = json.loads(output)
            found["time"].append(taken)
            found["optional"].append(float(optional))
        return found

    return side(sample)


FIGURE = Figure(
    name="imports",
    title="Import",
    about="`import aioelection` in a new process, with everything compiled already. The floor is `import aetcd`.",
    measures=(
        Measure("time", "import", "s", (Goal(1.1, FLOOR),)),
        Measure("optional", "packages of the CLI and of metrics that come with it", "", (Goal(0.0),)),
    ),
    sides={OURS: importing("aioelection"), FLOOR: importing("aetcd")},
    full=Plan(rounds=20, samples=2),
    quick=Plan(rounds=1, samples=1),
)
