"""What leaderships cost as there are more of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from benchmarks.figure import Figure, Measure, Place, Plan, Samples, side
from benchmarks.load import TTL, a_call_each, lead_many, renew_bare

COUNTS = (10, 100, 1_000)
KINDS = ("shared lease", "a lease each", "PD's way")


def lead(kind: str, count: int) -> Callable[[Place, int], Awaitable[Samples]]:
    async def sample(place: Place, _: int) -> Samples:
        number, window = (min(count, 10), 0.1) if place.quick else (count, float(TTL))
        if kind == "PD's way":
            return await renew_bare(place, number, window, a_call_each)
        return await lead_many(place, number, window, shared=kind == "shared lease")

    return sample


FIGURE = Figure(
    name="scale",
    title="Cost against the number of leaderships",
    about="As in the two figures above, for fewer.",
    measures=(
        Measure("cpu", "steady CPU", "of a core"),
        Measure("won", "until all are won", "s"),
        Measure("memory", "memory, each", "B"),
    ),
    sides={f"{count:,}, {kind}": side(lead(kind, count)) for kind in KINDS for count in COUNTS},
    full=Plan(rounds=1, samples=1),
    quick=Plan(rounds=1, samples=1),
    fresh=True,
)
