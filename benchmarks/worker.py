"""One side of one figure, in a process of its own: ``python -m benchmarks.worker FIGURE SIDE PLACE``.

It tells ``{"ready": true}``, or why it cannot run; then for each number of samples that it reads it measures, and
tells what it found. JSON, a line each. What the side itself prints goes to the standard error.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from typing import IO

from benchmarks.figure import Figure, NotHere, Place


async def serve(figure: Figure, side: str, place: Place, out: IO[str]) -> None:
    def tell(what: object) -> None:
        print(json.dumps(what), file=out, flush=True)

    try:
        async with figure.sides[side](place) as sample:
            tell({"ready": True})
            while line := await asyncio.to_thread(sys.stdin.readline):
                tell(await sample(int(line)))
    except NotHere as reason:
        tell({"not here": str(reason)})


def main() -> None:
    name, side, place = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    figure: Figure = importlib.import_module(f"benchmarks.figures.{name}").FIGURE
    asyncio.run(serve(figure, side, Place(**json.loads(place)), out))


if __name__ == "__main__":
    main()
