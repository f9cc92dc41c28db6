"""The plots of the documentation's page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.figure import FLOOR, OURS
from benchmarks.figures.scale import KINDS
from benchmarks.report import HANDOVER_PLOT, SCALE_PLOT
from benchmarks.results import FigureResult, Results

COLOURS = {OURS: "#d62728", FLOOR: "#222222"}
OTHERS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf"]


def write(results: Results, folder: Path) -> None:
    """Write those plots for which there are figures."""
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "aioelection", "font.size": 10, "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False})
    folder.mkdir(parents=True, exist_ok=True)
    if handover := results.figure("handover"):
        _save(_handover(handover), folder / HANDOVER_PLOT)
    if scale := results.figure("scale"):
        _save(_scale(scale, results.figure("shared_lease")), folder / SCALE_PLOT)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def _handover(result: FigureResult) -> Any:
    """For each side the share of hand-overs that were done within a time."""
    figure, axes = plt.subplots(figsize=(8, 4.5))
    axes.set_prop_cycle(color=OTHERS)
    samples = result.measures[0].samples
    for side in sorted(samples, key=result.measures[0].statistic):
        times = sorted(1000 * each for each in samples[side])
        shares = [(number + 1) / len(times) for number in range(len(times))]
        width = 2.5 if side in COLOURS else 1.3
        axes.step(times, shares, where="post", label=side, color=COLOURS.get(side), linewidth=width)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.set_xlabel("time of a hand-over, ms")
    axes.set_ylabel("share of hand-overs done by then")
    axes.set_ylim(0, 1.005)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _scale(result: FigureResult, largest: FigureResult | None) -> Any:
    figure, panels = plt.subplots(1, 2, figsize=(10, 4))
    for axes, name, factor, label in (
        (panels[0], "cpu", 100.0, "steady CPU, % of a core"),
        (panels[1], "memory", 1 / 1024, "memory for each leadership, KiB"),
    ):
        measure = next(each for each in result.measures if each.name == name)
        for kind in KINDS:
            points = {
                int(side.partition(", ")[0].replace(",", "")): measure.statistic(side) * factor
                for side in measure.samples
                if side.endswith(f", {kind}")
            }
            if largest and kind == "shared lease":
                more = next(each for each in largest.measures if each.name == name)
                if OURS in more.samples:
                    points[10_000] = more.statistic(OURS) * factor
            axes.plot(*zip(*sorted(points.items()), strict=True), marker="o", label=kind)
        axes.set_xscale("log")
        axes.set_yscale("log" if name == "cpu" else "linear")
        if name == "memory":
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("leaderships in one process")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    panels[0].legend(frameon=False)
    figure.tight_layout()
    return figure
