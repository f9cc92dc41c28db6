"""A thousand leaderships of one process, with a lease each."""

from __future__ import annotations

from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Place, Plan, Samples, side
from benchmarks.load import WINDOW, a_call_each, lead_many, on_one_stream, renew_bare


def count(place: Place) -> int:
    return 20 if place.quick else 1_000


def window(place: Place) -> float:
    return 0.2 if place.quick else WINDOW


async def ours(place: Place, _: int) -> Samples:
    return await lead_many(place, count(place), window(place), shared=False)


async def floor(place: Place, _: int) -> Samples:
    return await renew_bare(place, count(place), window(place), on_one_stream)


async def pd(place: Place, _: int) -> Samples:
    return await renew_bare(place, count(place), window(place), a_call_each)


FIGURE = Figure(
    name="own_leases",
    title="1,000 leaderships with a lease each",
    about="In one process, each with its `async with` body in a task of its own; a TTL of 9 s, renewed every 3 s. The "
    "floor renews the leases on one bare stream, when they are due.",
    measures=(
        Measure("cpu", "steady CPU", "of a core", (Goal(1.3, FLOOR), Goal(1.0, "PD's way"))),
        Measure("won", "until all are won", "s"),
        Measure("memory", "memory, each", "B"),
    ),
    sides={OURS: side(ours), FLOOR: side(floor), "PD's way": side(pd)},
    full=Plan(rounds=2, samples=1),
    quick=Plan(rounds=1, samples=1),
    fresh=True,
    notes={"PD's way": "a call for each renewal of each lease"},
)
