"""What is written down during a run: one JSON object a line, each process to a file of its own.

Times are seconds of the machine's monotonic clock, which all processes of one machine share.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Once, at the beginning: what was run."""

    at: float
    seed: int
    ttl: int
    election_timeout: float
    contenders: tuple[str, ...]
    versions: dict[str, str]
    """Of etcd, Python, the library, gRPC."""
    title: str = ""
    kind: Literal["run"] = "run"


@dataclasses.dataclass(frozen=True, slots=True)
class Won:
    """A contender won a term."""

    at: float
    who: str
    token: int
    kind: Literal["won"] = "won"


@dataclasses.dataclass(frozen=True, slots=True)
class Believed:
    """``check()`` was true at ``begin``, at ``end``, and whenever it was asked in between: one interval of belief.

    ``begin`` is read after the first such call has returned, ``end`` before the last was made: what is believed lies
    inside for certain, and no process can be accused of more.
    """

    who: str
    token: int
    begin: float
    end: float
    kind: Literal["believed"] = "believed"


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A contender's term ended; ``reason`` is a ``LossReason``'s value."""

    at: float
    who: str
    token: int
    reason: str
    kind: Literal["lost"] = "lost"


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """The body of that term has ended."""

    at: float
    who: str
    token: int
    kind: Literal["ended"] = "ended"


@dataclasses.dataclass(frozen=True, slots=True)
class Append:
    """A guarded append of (token, number) to the list in etcd."""

    who: str
    token: int
    number: int
    sent: float
    answered: float
    outcome: Literal["applied", "refused", "unknown", "unsent"]
    """``unsent``: refused before anything was sent, or certainly not applied."""
    kind: Literal["append"] = "append"


@dataclasses.dataclass(frozen=True, slots=True)
class Register:
    """A write of (token, number) to a register outside etcd: behind a ``FenceGuard``, or without one."""

    at: float
    """By the register's own reckoning."""
    who: str
    token: int
    number: int
    guarded: bool
    accepted: bool
    kind: Literal["register"] = "register"


@dataclasses.dataclass(frozen=True, slots=True)
class Observed:
    """An observer was told who leads: the token, or 0 for nobody."""

    at: float
    who: str
    token: int
    kind: Literal["observed"] = "observed"


@dataclasses.dataclass(frozen=True, slots=True)
class Truth:
    """An event of the leader key, as the recorder saw it, in the order of revisions."""

    at: float
    """When the recorder was told; the event itself was earlier."""
    revision: int
    token: int
    """The key's create revision; of the key that was deleted, for a deletion."""
    deleted: bool
    lease_id: int
    who: str
    """The key's value: who leads; empty for a deletion."""
    kind: Literal["truth"] = "truth"


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """Something that the nemesis did, from ``begin`` to ``end``."""

    name: str
    """Such as ``"leader process killed"``."""
    row: int
    """Of the table of faults; 0 where it has none."""
    target: str
    begin: float
    end: float
    foreign: bool = False
    """A third party touched the key or its lease: rule 1's own bound holds."""
    kind: Literal["fault"] = "fault"


@dataclasses.dataclass(frozen=True, slots=True)
class Thaw:
    """A member of etcd that was frozen goes on. One that led may revoke live leases before it learns that it does not
    any more (etcd issue 15247; seen on 3.5.30 too).
    """

    at: float
    member: str
    kind: Literal["thaw"] = "thaw"


@dataclasses.dataclass(frozen=True, slots=True)
class Stall:
    """The machine stood still: a thread that naps woke that much late. Bounds hold on top of that."""

    begin: float
    end: float
    kind: Literal["stall"] = "stall"


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A row of the table of faults: what was measured, and its bound, in seconds."""

    row: int
    what: str
    seconds: float
    bound: float
    begin: float = 0.0
    kind: Literal["measured"] = "measured"


@dataclasses.dataclass(frozen=True, slots=True)
class Final:
    """At the end, when everything is well again and every contender has gone."""

    at: float
    entries: tuple[tuple[int, int], ...]
    """The list in etcd: (token, number), in order."""
    leases: tuple[int, ...]
    """Those that are left a second later."""
    leader_token: int
    """Of the leader key; 0 if there is none."""
    kind: Literal["final"] = "final"


Record = (
    Run | Won | Believed | Lost | Ended | Append | Register | Observed | Truth | Fault | Thaw | Stall | Measured | Final
)

_TYPES: dict[str, type[Any]] = {
    each.__name__.lower(): each
    for each in (
        Run,
        Won,
        Believed,
        Lost,
        Ended,
        Append,
        Register,
        Observed,
        Truth,
        Fault,
        Thaw,
        Stall,
        Measured,
        Final,
    )
}


def now() -> float:
    """Seconds of the clock that all of a run's processes share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def encode(record: Record) -> str:
    return json.dumps(dataclasses.asdict(record))


def decode(line: str) -> Record:
    fields = json.loads(line)
    kind = _TYPES[fields["kind"]]
    record: Record = kind(**{name: _frozen(value) for name, value in fields.items()})
    return record


def write(file: IO[str], record: Record) -> None:
    """Write it at once: the writer may be killed the next moment."""
    file.write(encode(record) + "\n")
    file.flush()


def read(folder: Path) -> Iterator[Record]:
    """All records of a run's files; a last line that was cut off by a kill is left out."""
    for path in sorted(folder.glob("*.jsonl")):
        yield from _read(path.read_text().split("\n"))


def _read(lines: Iterable[str]) -> Iterator[Record]:
    *whole, _cut_off = lines
    for line in whole:
        yield decode(line)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
