"""The picture and the table of the states of a leadership, both made from the table that the library runs by.

Where a state stands in the picture, and how an arrow runs, is written here; which states and arrows there are, is not:
what has no place here fails the build.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape

from aioelection import State
from aioelection._core.machine import TABLE, Event

WIDTH, HEIGHT = 940, 460
BOX_WIDTH, BOX_HEIGHT = 150, 46

PLACES: dict[State, tuple[int, int]] = {
    State.IDLE: (95, 230),
    State.CAMPAIGNING: (415, 90),
    State.FOLLOWING: (735, 90),
    State.LEADING: (415, 230),
    State.SUSPENDED: (735, 230),
    State.RESIGNING: (415, 370),
    State.CLOSED: (855, 370),
}

ROUTES: dict[tuple[State, State], tuple[str, int, int]] = {
    (State.IDLE, State.CAMPAIGNING): ("M 110 205 Q 150 95 336 83", 245, 84),
    (State.CAMPAIGNING, State.IDLE): ("M 340 105 Q 210 125 160 203", 288, 153),
    (State.CAMPAIGNING, State.FOLLOWING): ("M 490 80 L 656 80", 573, 71),
    (State.FOLLOWING, State.CAMPAIGNING): ("M 660 102 L 494 102", 573, 119),
    (State.FOLLOWING, State.IDLE): ("M 735 67 C 690 8, 60 -10, 78 203", 400, 26),
    (State.CAMPAIGNING, State.LEADING): ("M 415 113 L 415 203", 438, 162),
    (State.LEADING, State.SUSPENDED): ("M 490 220 L 656 220", 573, 211),
    (State.SUSPENDED, State.LEADING): ("M 660 242 L 494 242", 573, 259),
    (State.LEADING, State.IDLE): ("M 340 230 L 174 230", 257, 221),
    (State.SUSPENDED, State.IDLE): ("M 735 253 C 690 475, 60 470, 78 257", 400, 441),
    (State.LEADING, State.RESIGNING): ("M 415 253 L 415 343", 449, 303),
    (State.SUSPENDED, State.RESIGNING): ("M 700 253 Q 640 360 494 370", 604, 323),
    (State.RESIGNING, State.IDLE): ("M 340 366 Q 160 350 112 257", 264, 338),
}
"""The path of each arrow, and where its label stands."""

ANY_STATE = ("M 855 300 L 855 343", 855, 290)
"""From each state but the last there is one arrow to CLOSED: it is drawn once."""

LEADING = "leads"
STANDING = "stands"


def svg() -> str:
    """The picture, in the colours of the page around it."""
    inner = "".join((*_arrows(), *_closing(), *map(_box, TABLE)))
    return (
        f'<svg class="states" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="states-title">'
        '<title id="states-title">The states of a leadership; the table below says the same in words</title>'
        '<defs><marker id="states-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M 0 1 L 10 5 L 0 9 z"/></marker></defs>'
        f"{inner}</svg>"
    )


def table() -> str:
    """The same in words, as a Markdown table."""
    rows = ["| in | when | goes to |", "| --- | --- | --- |"]
    for state, moves in TABLE.items():
        for event, following in moves.items():
            if event is not Event.CLOSE:
                rows.append(f"| {state.name} | {event.value} (`{event.name.lower()}`) | {following.name} |")
    _check_closing()
    rows.append(f"| any of these | {Event.CLOSE.value} (`{Event.CLOSE.name.lower()}`) | {State.CLOSED.name} |")
    return "\n".join(rows)


def _check_closing() -> None:
    closing = {state for state, moves in TABLE.items() if moves.get(Event.CLOSE) is State.CLOSED}
    if closing != set(State) - {State.CLOSED}:
        raise ValueError("not every state closes any more: draw the arrows to CLOSED one by one")


def _arrows() -> Iterator[str]:
    between: defaultdict[tuple[State, State], list[Event]] = defaultdict(list)
    for state, moves in TABLE.items():
        for event, following in moves.items():
            if event is not Event.CLOSE:
                between[state, following].append(event)
    for (state, following), events in between.items():
        path, x, y = ROUTES[state, following]
        meaning = ", or ".join(event.value for event in events)
        yield _arrow(path, ", ".join(event.name.lower() for event in events), x, y, f"{state.name}: {meaning}")


def _closing() -> Iterator[str]:
    _check_closing()
    path, x, y = ANY_STATE
    yield _arrow(path, "", x, y, Event.CLOSE.value)
    yield f'<text x="{x}" y="{y - 16}">close,</text><text x="{x}" y="{y}">in any state</text>'


def _arrow(path: str, label: str, x: int, y: int, meaning: str) -> str:
    line = f'<path class="arrow" d="{path}" marker-end="url(#states-head)"/>'
    text = f'<text x="{x}" y="{y}">{escape(label)}</text>' if label else ""
    return f"<g><title>{escape(meaning)}</title>{line}{text}</g>"


def _box(state: State) -> str:
    x, y = PLACES[state]
    kind = LEADING if state.leads else STANDING if state.stands else "rests"
    left, top = x - BOX_WIDTH // 2, y - BOX_HEIGHT // 2
    return (
        f'<g class="{kind}"><rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
        f'<text x="{x}" y="{y + 6}">{state.name}</text></g>'
    )
