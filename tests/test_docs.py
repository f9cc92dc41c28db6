"""Every Python snippet of the README and the docs is executed.

``tests.snippets`` tells the kinds. Here: a program; ``work(leadership)``, which leads until cancelled; a resource that
fences, in SQL or over HTTP. Those of the guides are in ``tests/docs``.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import anyio
import pytest

import aioelection
from tests.snippets import DOCS, ELSEWHERE, KINDS, PAGES, ROOT, SNIPPETS, blocks, defined, of_kind
from tests.support import eventually


@of_kind("program")
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


@pytest.fixture
def level_as_before() -> Iterator[None]:
    """One snippet tells how to see more in the log."""
    logger = logging.getLogger("aioelection")
    before = logger.level
    yield
    logger.setLevel(before)


@of_kind("work")
async def test_a_function_works_with_a_leadership(
    snippet: str, endpoint: str, unique_key: str, level_as_before: None
) -> None:
    work = defined(snippet, "work")
    async with aioelection.connect(endpoint) as client:
        leadership = aioelection.Leadership(client, unique_key)
        async with anyio.create_task_group() as group:
            group.start_soon(work, leadership)
            await eventually(leadership.check)
            await asyncio.sleep(0.1)
            assert leadership.check()  # it is at work, and would be for ever
            group.cancel_scope.cancel()
        assert await aioelection.get_leader(client, unique_key) is None


def fenced_database() -> sqlite3.Connection:
    (tables,) = [each for each in blocks(DOCS / "fencing.md", "sql") if each.startswith("CREATE")]
    database = sqlite3.connect(":memory:")
    database.executescript(tables)
    database.execute("CREATE TABLE sent (invoice INTEGER, token INTEGER)")
    return database


@of_kind("sql")
def test_a_fence_in_sql_refuses_a_deposed_leader(snippet: str) -> None:
    recipe = defined(snippet, "recipe")
    with closing(fenced_database()) as database:
        for token in (12, 12, 15):
            recipe(database, token, 1)
        with pytest.raises(aioelection.StaleToken) as caught:
            recipe(database, 12, 2)
        assert (caught.value.token, caught.value.highest) == (12, 15)
        recipe(database, 15, 3)
        assert database.execute("SELECT * FROM sent").fetchall() == [(1, 12), (1, 12), (1, 15), (3, 15)]
        assert database.execute("SELECT token FROM fence").fetchall() == [(15,)]


@of_kind("entering")
def test_a_leader_that_has_entered_shuts_out_the_older_one(snippet: str) -> None:
    enter = defined(snippet, "enter")
    (recipe,) = [defined(each.text, "recipe") for each in SNIPPETS if each.kind == "sql"]
    with closing(fenced_database()) as database:
        enter(database, 12)
        recipe(database, 12, 1)
        enter(database, 15)
        with pytest.raises(aioelection.StaleToken):
            recipe(database, 12, 2)
        with pytest.raises(aioelection.StaleToken) as caught:
            enter(database, 12)
        assert (caught.value.token, caught.value.highest) == (12, 15)
        enter(database, 15)
        assert database.execute("SELECT * FROM sent").fetchall() == [(1, 12)]


@of_kind("http")
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


@pytest.fixture
def passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """See a test pass with these plugins and no others."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(test: str, conftest: str, *options: str) -> None:
        (pytester.path / "conftest.py").write_text(conftest)
        (pytester.path / "test_snippet.py").write_text(test)
        result = pytester.runpytest_subprocess("-p", "pytest_aioelection", "-p", *options)
        result.assert_outcomes(passed=1)

    return run


@of_kind("test")
@of_kind("conftest", "conftest")
def test_a_test_passes_with_what_testing_brings(snippet: str, conftest: str, passes: Callable[..., None]) -> None:
    virtual = "" if "etcd_server" in snippet else conftest
    passes(snippet, virtual, "anyio.pytest_plugin")


@of_kind("test")
@of_kind("hook", "hook")
def test_a_test_passes_with_pytest_asyncio(snippet: str, hook: str, passes: Callable[..., None]) -> None:
    virtual = "" if "etcd_server" in snippet else hook
    passes(snippet, virtual, "pytest_asyncio.plugin", "--asyncio-mode=auto")


def test_every_snippet_is_executed() -> None:
    assert [(each.page, each.number) for each in SNIPPETS if each.kind is None] == []
    assert {each.kind for each in SNIPPETS} == set(KINDS)
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("**/test_*.py"))
    assert [kind for kind in KINDS if f'@of_kind("{kind}"' not in tests] == []
    assert all((ROOT / page).exists() and (ROOT / test).exists() for page, test in ELSEWHERE.items())


def test_no_snippet_hides_from_being_found() -> None:
    """Python in a fence that is written otherwise would not be executed."""
    otherwise = re.compile(r"^ *(~~~|`{3,}\{code-block\}) *py|^ +```python|^````+py|^```py$", re.MULTILINE)
    assert [page.name for page in PAGES if otherwise.search(page.read_text())] == []
