"""Every Python snippet of the README and the docs is executed.

A snippet with ``asyncio.run(`` is a program; one that defines ``work(leadership)`` leads until cancelled; one that
defines ``recipe(database, ...)`` or ``recipe(address, ...)`` is a resource that fences, in SQL or over HTTP; one that
defines ``test_...`` is a test, and one that defines ``anyio_backend`` its ``conftest.py``.
"""

from __future__ import annotations

import http.client
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

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


def having(text: str) -> list[Any]:
    return [each for each in SNIPPETS if text in str(each.values[0])]


PROGRAMS = having("asyncio.run(")
FUNCTIONS = having("def work(leadership")
SQL = having("def recipe(database")
HTTP = having("def recipe(address")
TESTS = having("def test_")
CONFTESTS = having("def anyio_backend")


def defined(snippet: str, name: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(compile(snippet, "<snippet>", "exec"), names)
    function = names[name]
    assert callable(function)
    return function  # type: ignore[no-any-return]


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
    work = defined(snippet, "work")
    async with aioelection.connect(endpoint) as client:
        leadership = aioelection.Leadership(client, unique_key)
        with anyio.move_on_after(0.3) as scope:
            await work(leadership)
        assert scope.cancelled_caught
        assert await aioelection.get_leader(client, unique_key) is None


@pytest.mark.parametrize("snippet", SQL)
def test_a_fence_in_sql_refuses_a_deposed_leader(snippet: str) -> None:
    recipe = defined(snippet, "recipe")
    (tables,) = re.findall(
        r"^```sql\n(CREATE.*?)^```", (ROOT / "docs/fencing.md").read_text(), re.DOTALL | re.MULTILINE
    )
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(tables)
        database.execute("CREATE TABLE sent (invoice INTEGER, token INTEGER)")
        for token in (12, 12, 15):
            recipe(database, token, 1)
        with pytest.raises(aioelection.StaleToken) as caught:
            recipe(database, 12, 2)
        assert (caught.value.token, caught.value.highest) == (12, 15)
        recipe(database, 15, 3)
        assert database.execute("SELECT * FROM sent").fetchall() == [(1, 12), (1, 12), (1, 15), (3, 15)]
        assert database.execute("SELECT token FROM fence").fetchall() == [(15,)]


@pytest.mark.parametrize("snippet", HTTP)
def test_a_fence_over_http_refuses_a_deposed_leader(snippet: str) -> None:
    written: list[bytes] = []
    with defined(snippet, "recipe")(("127.0.0.1", 0), written) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        address: tuple[str, int] = server.server_address

        def put(body: bytes, **headers: str) -> int:
            with closing(http.client.HTTPConnection(*address, timeout=5)) as connection:
                connection.request("PUT", "/", body, {name.replace("_", "-"): each for name, each in headers.items()})
                return connection.getresponse().status

        try:
            assert put(b"first", Fencing_Token="12") == 204
            assert put(b"newer", Fencing_Token="15") == 204
            assert put(b"late", Fencing_Token="12") == 412
            assert put(b"again", Fencing_Token="15") == 204
            assert put(b"without") == 428
            for no_token in ("0", "-1", "none", ""):
                assert put(b"strange", Fencing_Token=no_token) == 428
        finally:
            server.shutdown()
            serving.join()
    assert written == [b"first", b"newer", b"again"]


@pytest.mark.parametrize("conftest", CONFTESTS)
@pytest.mark.parametrize("snippet", TESTS)
def test_a_test_passes(snippet: str, conftest: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (pytester.path / "conftest.py").write_text(conftest)
    (pytester.path / "test_snippet.py").write_text(snippet)
    plugins = ("-p", "pytest_aioelection", "-p", "pytest_asyncio.plugin")
    result = pytester.runpytest_subprocess(*plugins, "--asyncio-mode=auto")
    result.assert_outcomes(passed=1)


def test_every_snippet_is_executed() -> None:
    kinds = (PROGRAMS, FUNCTIONS, SQL, HTTP, TESTS, CONFTESTS)
    assert all(kinds)
    assert [each for each in SNIPPETS if not any(each in kind for kind in kinds)] == []
