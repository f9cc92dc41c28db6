"""What the pages tell of the library is so: its states, its names, its log, its tests."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import aioelection
import aioelection.embedded
import aioelection.testing
from aioelection import LossReason, State
from aioelection._core.machine import TABLE, Event
from tests.snippets import DOCS, PAGES, ROOT

TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text()


@pytest.fixture
def states() -> ModuleType:
    spec = importlib.util.spec_from_file_location("states", DOCS / "_ext" / "states.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------------- the states


def test_the_picture_has_every_state_and_every_arrow(states: ModuleType) -> None:
    picture = states.svg()
    assert all(f">{state.name}</text>" in picture for state in State)
    for state, moves in TABLE.items():
        for event in moves:
            if event is not Event.CLOSE:
                assert f"<title>{state.name}: {event.value}</title>" in picture


def test_the_picture_has_no_others(states: ModuleType) -> None:
    moves = {(state, event, following) for state in TABLE for event, following in TABLE[state].items()}
    assert set(states.ROUTES) == {(state, following) for state, event, following in moves if event is not Event.CLOSE}
    assert set(states.PLACES) == set(State)


def test_two_events_on_one_way_share_an_arrow(states: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = {**TABLE[State.RESIGNING], Event.LOST: State.IDLE}
    monkeypatch.setattr(states, "TABLE", {**TABLE, State.RESIGNING: moves})
    assert ">released, lost</text>" in states.svg()


def test_an_arrow_without_a_place_fails_the_build(states: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "TABLE", {**TABLE, State.IDLE: {**TABLE[State.IDLE], Event.WON: State.LEADING}})
    with pytest.raises(KeyError):
        states.svg()


def test_a_state_that_does_not_close_fails_the_build(states: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "TABLE", {**TABLE, State.RESIGNING: {Event.RELEASED: State.IDLE}})
    with pytest.raises(ValueError, match="CLOSED"):
        states.svg()


def test_the_table_tells_each_move(states: ModuleType) -> None:
    table = states.table()
    for state, moves in TABLE.items():
        for event, following in moves.items():
            where = "any of these" if event is Event.CLOSE else state.name
            assert f"| {where} | {event.value} (`{event.name.lower()}`) | {following.name} |" in table


# ---------------------------------------------------------------------- names


def test_the_reference_has_every_public_name() -> None:
    text = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    shown = re.findall(r"^\.\. (?:auto)?(?:class|function|exception):: (\w+)", text, re.MULTILINE)
    elsewhere = ["EtcdMember", "Member", "Link", "Hold"]  # of aioelection.embedded and .testing
    shown = [each for each in shown if each not in {"aioelection", "pytest_aioelection"}]
    assert sorted(shown) == sorted([*aioelection.__all__, *elsewhere])
    (members,) = re.findall(r"automodule:: aioelection.testing\n   :members: (.*)", text)
    assert set(aioelection.testing.__all__) == {*members.split(", "), "Member", "Link", "Hold"}
    assert "automodule:: aioelection.embedded" in text and "automodule:: aioelection.testing" in text


def rows(heading: str) -> list[list[str]]:
    """The table below a heading, without its head."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TROUBLESHOOTING, re.DOTALL | re.MULTILINE)
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip(" `") for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def test_troubleshooting_tells_of_every_error() -> None:
    errors = {name for name in aioelection.errors.__all__ if name not in ("ElectionError", "LossReason")}
    assert {row[0] for row in rows("What an error means")} == errors


def test_troubleshooting_tells_of_every_reason() -> None:
    assert {row[0] for row in rows("Why a term ended")} == {reason.name for reason in LossReason}


# ---------------------------------------------------------------------- the log


LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
OTHERS = ("cli", "embedded", "instrument", "testing")
"""Parts that log to others' attention."""


def texts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(_, body, orelse):
            yield from texts(body)
            yield from texts(orelse)


def logged() -> set[tuple[str, str]]:
    """Each line that the library logs, with "..." for what differs, and its level."""
    found = set()
    for path in (ROOT / "aioelection").glob("**/*.py"):
        if path.relative_to(ROOT / "aioelection").parts[0] in OTHERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log"), level), [text, *_]) if level in LEVELS:
                    found |= {(re.sub(r"%[-\d.]*[a-z]", "...", each), level) for each in texts(text)}
    return found


def test_troubleshooting_tells_of_every_line_of_the_log() -> None:
    told = {(row[0], row[1]) for row in rows("What a line in the log means")}
    assert told == logged()
    assert len(told) > 20


# ---------------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tests_and_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    for file, test in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text):
        assert f"def {test}(" in (ROOT / file).read_text() if test else (ROOT / file).exists(), (file, test)
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (page.parent / target).exists(), target
