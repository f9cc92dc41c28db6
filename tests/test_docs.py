"""Every Python snippet of the README and the docs is executed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import aioelection

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES.remove(ROOT / "docs" / "scenarios.md")  # tests/memory runs them
SNIPPETS = [
    pytest.param(snippet, id=f"{page.name}-{number}")
    for page in PAGES
    for number, snippet in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
]
PROGRAMS = [each for each in SNIPPETS if "asyncio.run(" in str(each.values[0])]
FUNCTIONS = [each for each in SNIPPETS if each not in PROGRAMS]


@pytest.mark.parametrize("snippet", PROGRAMS)
def test_a_program_leads_and_stops_when_interrupted(snippet: str, endpoint: str) -> None:
    assert "http://127.0.0.1:2379" in snippet
    program = snippet.replace("http://127.0.0.1:2379", endpoint)
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "leader" in (line := process.stdout.readline()) or "leading" in line
        process.send_signal(signal.SIGINT)
        complaint = process.stderr.read()
    assert complaint.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in complaint and "destroyed" not in complaint


@pytest.mark.parametrize("snippet", FUNCTIONS)
async def test_a_function_works_with_a_leadership(snippet: str, endpoint: str, unique_key: str) -> None:
    names: dict[str, object] = {}
    exec(compile(snippet, "<snippet>", "exec"), names)
    work = names["work"]
    assert callable(work)
    async with aioelection.connect(endpoint) as client:
        leadership = aioelection.Leadership(client, unique_key)
        with anyio.move_on_after(0.3) as scope:
            await work(leadership)
        assert scope.cancelled_caught
        assert await aioelection.get_leader(client, unique_key) is None


def test_there_are_snippets() -> None:
    assert PROGRAMS and FUNCTIONS
