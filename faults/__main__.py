"""``python -m faults scenarios``: each fault once; ``python -m faults soak``: at random, for as long as wanted."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import random
import secrets
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from faults.arena import Arena, Stuck, arena
from faults.cluster import ClusterContext
from faults.cluster.local import local_cluster
from faults.nemesis import TABLE, Outcome, Scene, play, strike
from faults.records import now, read

app = typer.Typer(
    help="Prove the library under faults.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
console = Console()

Seed = Annotated[int, typer.Option(help="Repeats the draws of a run; 0 draws one.")]
Containers = Annotated[bool, typer.Option("--containers", help="Members in containers, not processes of this machine.")]
Folder = Annotated[Path | None, typer.Option(help="For the records and the report; else a new one.")]


@app.command()
def scenarios(seed: Seed = 0, folder: Folder = None, only: str = "", containers: Containers = False) -> None:
    """Each fault of the table once, measured; about three minutes."""
    _run(_scenarios, containers, seed, folder, only)


@app.command()
def soak(
    minutes: float = 10.0, seed: Seed = 0, folder: Folder = None, ttl: int = 2, containers: Containers = False
) -> None:
    """Faults at random, alone and in pairs."""
    _run(_soak, containers, seed, folder, minutes, ttl)


async def _scenarios(here: Arena, seed: int, only: str) -> bool:
    chance = random.Random(seed)
    table = Table("row", "fault", "measured", "bound", "verdict", title="Faults, each once")
    ok = True
    chosen = [each for each in TABLE if only in each.name]
    for action in [each for each in chosen if each.missing()]:
        chosen.remove(action)
        table.add_row(str(action.row or ""), action.name, "", "", f"left out: {action.missing()}")
    try:
        for ttl in sorted({each.ttl for each in chosen}):
            begin = here.begin if ttl == min(each.ttl for each in chosen) else here.change_ttl
            await begin(seed, ttl, "each fault once")
            for action in (each for each in chosen if each.ttl == ttl):
                console.print(f"{action.row or '':>3} {action.name}", style="dim")
                outcome = await play(Scene(here, await here.led(), random.Random(chance.random())), action)
                ok &= outcome is None or outcome.ok
                table.add_row(str(action.row or ""), action.name, *_cells(outcome))
    finally:
        console.print(table)
    return ok


def _cells(outcome: Outcome | None) -> tuple[str, str, str]:
    if outcome is None:
        return "", "", "see the checker"
    bound = f"{outcome.bound:.1f} s" if outcome.bound else "no loss"
    verdict = "[green]kept" if outcome.ok else "[bold red]exceeded"
    return f"{outcome.seconds:.3f} s" if outcome.bound or not outcome.ok else "none lost", bound, verdict


async def _soak(here: Arena, seed: int, minutes: float, ttl: int) -> bool:
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    await here.begin(seed, ttl, f"a soak of {minutes:g} minutes")
    began = now()
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("soak", total=60 * minutes)
            while now() < began + 60 * minutes:
                actions = await strike(here, chance)
                done.update(each.name for each in actions)
                what = " + ".join(each.name for each in actions)
                progress.update(task, completed=now() - began, description=what)
                if not console.is_terminal:
                    console.print(f"{now() - began:7.1f} s  {what}", highlight=False)
                await asyncio.sleep(chance.random())
    finally:
        console.print(f"{sum(done.values())} faults in {now() - began:.0f} s:")
        for name, count in done.most_common():
            console.print(f"{count:5} {name}")
    return True


def _run(run: object, containers: bool, seed: int, folder: Path | None, *arguments: object) -> None:
    cluster = _cluster(containers)
    seed = seed or secrets.randbelow(10**6) + 1
    folder = folder or Path(tempfile.mkdtemp(prefix="aioelection-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.jsonl")):
        raise typer.BadParameter(f"{folder} holds a run already")
    console.print(f"seed {seed}, records in {folder}")
    try:
        ok = asyncio.run(_whole(run, cluster, seed, folder, arguments))
    except asyncio.CancelledError:
        console.print("stopped before it had begun")
        raise typer.Exit(1) from None
    raise typer.Exit(0 if _judge(folder) and ok else 1)


def _cluster(containers: bool) -> ClusterContext:
    if not containers:
        return local_cluster()
    try:
        back_end = importlib.import_module("faults.cluster.containers")  # only now: a run of processes goes without
    except ImportError as missing:
        raise typer.BadParameter(f"containers take the package testcontainers: {missing}") from missing
    if lacking := back_end.missing():
        raise typer.BadParameter(lacking)
    context: ClusterContext = back_end.container_cluster()
    return context


async def _whole(run: object, cluster: ClusterContext, seed: int, folder: Path, arguments: tuple[object, ...]) -> bool:
    """The run, its orderly end however it was stopped, and whether it went well."""
    assert callable(run)
    _stopped_by_signals(asyncio.current_task())
    async with arena(cluster, folder) as here:
        running = asyncio.ensure_future(run(here, seed, *arguments))
        _stopped_by_signals(running)
        ok = False
        try:
            ok = await running
        except asyncio.CancelledError:
            console.print("stopped")
            ok = True
        except Stuck as stuck:
            console.print(f"[bold red]{stuck}")
        with contextlib.suppress(Stuck):
            await here.finish()
        return ok


def _stopped_by_signals(task: asyncio.Future[Any] | None) -> None:
    """That one, and none that they stopped before."""
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _judge(folder: Path) -> bool:
    """Check what was written down, and show it."""
    try:
        reporting = importlib.import_module("faults.report")  # only now: a run goes without jinja2
    except ImportError as missing:
        console.print(f"not checked: {missing}")
        for kind, count in Counter(each.kind for each in read(folder)).items():
            console.print(f"{count:7} {kind}")
        return True
    made = reporting.report(read(folder))
    made.write(folder / "report.html")
    for warning in made.verdict.warnings:
        console.print(f"[yellow]warning: {warning}", highlight=False)
    for violation in made.verdict.violations:
        console.print(f"[bold red]{violation.rule}: {violation.text} ({violation.who})", highlight=False)
    console.print(f"{len(made.verdict.violations)} violations; see {folder / 'report.html'}")
    return bool(made.verdict.ok)


if __name__ == "__main__":
    app()
