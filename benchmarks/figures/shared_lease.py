"""Ten thousand leaderships of one process on one shared lease."""

from __future__ import annotations

from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Place, Plan, Samples, side
from benchmarks.load import WINDOW, lead_many, win_bare


def count(place: Place) -> int:
    return 50 if place.quick else 10_000


async def ours(place: Place, _: int) -> Samples:
    return await lead_many(place, count(place), 0.2 if place.quick else WINDOW, shared=True)


async def floor(place: Place, _: int) -> Samples:
    return await win_bare(place, count(place))


FIGURE = Figure(
    name="shared_lease",
    title="10,000 leaderships on one shared lease",
    about="In one process, each with its `async with` body in a task of its own; a TTL of 9 s. The floor sends the "
    "bare winning transactions, all at once.",
    measures=(
        Measure("won", "until all are won", "s", (Goal(1.3, FLOOR),)),
        Measure("cpu", "steady CPU", "of a core", (Goal(0.02),)),
        Measure("memory", "memory, each", "B", (Goal(8192.0),)),
    ),
    sides={OURS: side(ours), FLOOR: side(floor)},
    full=Plan(rounds=3, samples=1),
    quick=Plan(rounds=1, samples=1),
    fresh=True,
)
