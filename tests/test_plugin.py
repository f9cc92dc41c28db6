"""The pytest plugin, as it is used: in tests of a service, under each of the plugins that run coroutines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SERVICE = """
import asyncio
import aioelection


class Service:
    def __init__(self):
        self.terms = []
        self.news = asyncio.Event()

    async def serve(self, term):
        self.terms.append(term)
        self.news.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.news.set()

    async def leads(self, count):
        async with asyncio.timeout(10):
            while len(self.terms) < count:
                self.news.clear()
                await self.news.wait()


async def it_leads_again_after_a_loss(client, key):
    from aioelection.testing import force_loss

    service, leadership = Service(), aioelection.Leadership(client, key)
    running = asyncio.ensure_future(leadership.run(service.serve, 10, b"me"))
    await service.leads(1)
    for reason in (aioelection.LossReason.EXPIRED, aioelection.LossReason.DELETED):
        await force_loss(leadership, reason)
        assert service.terms[-1].loss_reason is reason
        await service.leads(len(service.terms) + 1)
    running.cancel()
    await asyncio.wait([running])


async def an_outage_of_a_minute(etcd, client, key):
    service, leadership = Service(), aioelection.Leadership(client, key)
    running = asyncio.ensure_future(leadership.run(service.serve, 10, b"me"))
    await service.leads(1)
    for member in etcd.members:
        etcd.kill(member)
    await service.terms[0].lost.wait()
    await asyncio.sleep(60)
    assert len(service.terms) == 1
    for member in etcd.members:
        etcd.start(member)
    await service.leads(2)
    running.cancel()
    await asyncio.wait([running])
"""

REAL = """
import aioelection, service
{mark}
async def test_on_a_real_etcd(etcd_server, aioelection_key):
    async with aioelection.connect(etcd_server.endpoints) as client:
        await service.it_leads_again_after_a_loss(client, aioelection_key)
        etcd_server.ctl("put", aioelection_key + "/other", "value")
        assert (await aioelection.get_leader(client, aioelection_key + "/other")).value == b"value"
{mark}
async def test_on_one_of_its_own(etcd_factory, aioelection_key):
    async with etcd_factory() as etcd, aioelection.connect(etcd.endpoints) as client:
        assert etcd.running
        await service.it_leads_again_after_a_loss(client, aioelection_key)
    assert not etcd.running
"""

VIRTUAL = """
import asyncio, service
{mark}
async def test_in_memory(etcd_in_memory, aioelection_key):
    async with etcd_in_memory() as etcd, etcd.client() as client:
        since = asyncio.get_running_loop().time()
        await service.it_leads_again_after_a_loss(client, aioelection_key)
        await service.an_outage_of_a_minute(etcd, client, aioelection_key)
        assert asyncio.get_running_loop().time() - since > 60
"""


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A user's tests, beside a service."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(service=SERVICE)
    pytester.syspathinsert()
    return pytester


def passes(tests: pytest.Pytester, count: int) -> None:
    result = tests.runpytest_inprocess("-p", "pytest_aioelection", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=count)


def passes_with(tests: pytest.Pytester, mark: str, real: str, virtual: str, *arguments: str) -> None:
    """Tests of both kinds, each with a ``conftest.py``; in a process of their own, for the sake of our own loop."""
    for folder, conftest, test in (("real", real, REAL), ("virtual", virtual, VIRTUAL)):
        (tests.mkdir(folder) / "conftest.py").write_text(
            f"import pytest\nfrom aioelection.testing import VirtualLoop\n{conftest}"
        )
        (tests.path / folder / f"test_{folder}.py").write_text(test.format(mark=f"import pytest\n@pytest.mark.{mark}"))
    tests.runpytest_subprocess("-p", "pytest_aioelection", *arguments).assert_outcomes(passed=3)


def test_with_pytest_asyncio(tests: pytest.Pytester) -> None:
    virtual = "def pytest_asyncio_loop_factories(): return {'virtual': VirtualLoop}"
    scope = "asyncio_default_fixture_loop_scope=function"
    passes_with(tests, "asyncio", "", virtual, "-p", "pytest_asyncio.plugin", "-o", scope)


def test_with_anyios_plugin(tests: pytest.Pytester) -> None:
    backend = "@pytest.fixture\ndef anyio_backend(): return "
    virtual = backend + "'asyncio', {'loop_factory': VirtualLoop}"
    passes_with(tests, "anyio", backend + "'asyncio'", virtual, "-p", "anyio.pytest_plugin")


def test_without_any(tests: pytest.Pytester) -> None:
    tests.makepyfile(
        test_it="""
        import asyncio, service
        from aioelection.testing import VirtualLoop

        def test_it(etcd_in_memory, aioelection_key):
            async def main():
                async with etcd_in_memory() as etcd, etcd.client() as client:
                    await service.an_outage_of_a_minute(etcd, client, aioelection_key)

            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(main())
        """
    )
    passes(tests, 1)


def test_each_key_is_its_own_and_chance_the_same(tests: pytest.Pytester) -> None:
    tests.makepyfile(
        test_it="""
        import random, pytest
        keys, numbers = set(), set()

        @pytest.mark.parametrize("number", [1, 2, 3])
        @pytest.mark.parametrize("word", ["a b", "c/d"])
        def test_it(aioelection_key, etcd_in_memory, number, word):
            keys.add(aioelection_key)
            numbers.add(random.random())

        def test_outcome():
            assert len(keys) == 6 and len(numbers) == 1
            assert all(key.count("/") == 3 and " " not in key for key in keys)
            random.seed(1)

        def test_chance(etcd_in_memory): pass

        def test_chance_goes_on():
            after = random.random()
            random.seed(1)
            assert random.random() == after
        """
    )
    passes(tests, 9)


def test_an_etcd_that_was_not_left_is_told_of(tests: pytest.Pytester) -> None:
    tests.makepyfile(
        test_it="""
        import asyncio

        def test_it(etcd_factory):
            async def main():
                etcd = etcd_factory()
                await etcd.__aenter__()
                kept.append(etcd)
            runner.run(main())

        def test_clean_up():
            runner.run(kept[0].__aexit__(None, None, None))
            runner.close()

        kept, runner = [], asyncio.Runner(loop_factory=asyncio.new_event_loop)
        """
    )
    result = tests.runpytest_inprocess("-p", "pytest_aioelection", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*enter it with `async with` in the test: *Etcd 3*running*"])


def test_unused_it_imports_nothing_of_the_library() -> None:
    code = "import sys, pytest_aioelection; print([each for each in sys.modules if each.split('.')[0] in wanted])"
    code = "wanted = {'aioelection', 'aetcd', 'grpc', 'google', 'anyio', 'asyncio'}; " + code
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"
