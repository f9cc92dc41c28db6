"""The Python snippets of the README and the docs, each of a kind that tells how it is executed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(set(DOCS.glob("**/*.md")) - set(DOCS.glob("_build/**/*.md")))]

ELSEWHERE = {
    "docs/instrumentation.md": "tests/instrument/test_page.py",
    "docs/scenarios.md": "tests/memory/test_scenarios.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
}
"""Pages that are executed as a whole."""

KINDS = {
    "service": 'os.environ.get("NODE_NAME"',
    "fastapi": "FastAPI(",
    "asgi": "Election(",
    "starlette": "Starlette(",
    "scheduler": "apscheduler",
    "draining": "def serve(leadership",
    "adopted": "def migrate(old",
    "tls": "aioelection.TLS(",
    "program": "asyncio.run(",
    "work": "def work(leadership",
    "entering": "def enter(database",
    "sql": "def recipe(database",
    "http": "def recipe(address",
    "test": "def test_",
    "conftest": "def anyio_backend",
    "hook": "def pytest_asyncio_loop_factories",
}
"""What a snippet of each kind has in it; the first that fits counts."""


class Snippet(NamedTuple):
    page: str
    number: int
    text: str

    @property
    def kind(self) -> str | None:
        return next((kind for kind, mark in KINDS.items() if mark in self.text), None)


def blocks(page: Path, language: str) -> list[str]:
    """What stands in the fences of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


SNIPPETS = [
    Snippet(str(page.relative_to(ROOT)), number, text)
    for page in PAGES
    if str(page.relative_to(ROOT)) not in ELSEWHERE
    for number, text in enumerate(blocks(page, "python"))
]


def of_kind(kind: str, name: str = "snippet") -> pytest.MarkDecorator:
    """Run a test with each snippet of that kind."""
    found = [pytest.param(each.text, id=f"{each.page}-{each.number}") for each in SNIPPETS if each.kind == kind]
    return pytest.mark.parametrize(name, found)


def executed(snippet: str, **replaced: str) -> dict[str, Any]:
    """The names that it leaves behind."""
    names: dict[str, Any] = {}
    for old, new in replaced.items():
        assert old in snippet
        snippet = snippet.replace(old, new)
    exec(compile(snippet, "<snippet>", "exec"), names)
    return names


def defined(snippet: str, name: str) -> Callable[..., Any]:
    function = executed(snippet)[name]
    assert callable(function)
    return function  # type: ignore[no-any-return]
