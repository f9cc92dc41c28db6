"""The guides: what they show works against a real etcd."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import aioelection
from aioelection import Client, Leadership, get_leader
from tests.snippets import DOCS, ROOT, blocks, defined, executed, of_kind
from tests.support import Stranger, beside, eventually, soon

LOCAL = "http://127.0.0.1:2379"


@of_kind("service")
async def test_the_service_hands_over_when_told_to_stop(
    snippet: str, tmp_path: Path, client: Client, endpoint: str
) -> None:
    file = tmp_path / "service.py"
    file.write_text(snippet)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ETCD_ENDPOINTS": endpoint, "NODE_NAME": "node-of-the-test"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, str(file)], env=environment, stderr=output)  # noqa: ASYNC220
    try:
        await eventually(lambda: "sending invoices, fencing token" in log.read_text(), within=20)
        leader = await get_leader(client, "/billing/leader")
        assert leader is not None and leader.value == b"node-of-the-test"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
        assert await get_leader(client, "/billing/leader") is None
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_what_deploys_the_service_gives_it_what_it_asks_for() -> None:
    (service,) = [each for each in blocks(DOCS / "howto/service.md", "python") if "NODE_NAME" in each]
    (unit,) = blocks(DOCS / "howto/systemd.md", "ini")
    (manifest,) = blocks(DOCS / "howto/kubernetes.md", "yaml")
    for setting in ("NODE_NAME", "ETCD_ENDPOINTS"):
        assert f'os.environ.get("{setting}"' in service
        assert f"Environment={setting}=" in unit and f"name: {setting}\n" in manifest
    assert "/service.py" in unit and '"service.py"' in manifest


def test_the_manifest_is_yaml() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (manifest,) = blocks(DOCS / "howto/kubernetes.md", "yaml")
    deployment, budget = yaml.safe_load_all(manifest)
    assert (deployment["kind"], budget["kind"]) == ("Deployment", "PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == budget["spec"]["selector"]["matchLabels"]


@of_kind("fastapi")
async def test_fastapi(snippet: str, client: Client, endpoint: str, unique_key: str) -> None:
    pytest.importorskip("fastapi", reason="FastAPI is not installed")
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    app = executed(snippet, **{LOCAL: endpoint, "/billing/leader": unique_key})["app"]
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
        app.router.lifespan_context(app),
    ):
        await eventually(app.state.leadership.check)
        answer = await http.get("/leader")
        assert (answer.status_code, answer.json()["leads"]) == (200, True)
        assert (await http.get("/healthz")).status_code == 200
        app.state.election.cancel()
        await asyncio.wait([app.state.election])
        answer = await http.get("/leader")
        assert (answer.status_code, answer.json()["leads"]) == (503, False)
        assert (await http.get("/healthz")).status_code == 503
    assert await get_leader(client, unique_key) is None


@of_kind("asgi")
async def test_the_ready_made_election(snippet: str, client: Client, endpoint: str, unique_key: str) -> None:
    pytest.importorskip("starlette", reason="Starlette is not installed")
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    names = executed(snippet, **{LOCAL: endpoint, "/billing/leader": unique_key})
    app, election = names["app"], names["election"]
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
        app.router.lifespan_context(app),
    ):
        await eventually(election.leadership.check)
        assert (await http.get("/election/leader")).status_code == 200
        assert (await http.get("/election/healthz")).status_code == 200
    assert await get_leader(client, unique_key) is None


@of_kind("starlette")
async def test_starlette_sends_the_caller_on_to_the_leader(
    snippet: str, client: Client, endpoint: str, unique_key: str
) -> None:
    pytest.importorskip("starlette", reason="Starlette is not installed")
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    app = executed(snippet, **{LOCAL: endpoint, "/billing/leader": unique_key})["app"]
    other = Leadership(client, unique_key)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
        app.router.lifespan_context(app),
    ):
        await eventually(app.state.leadership.check)
        assert (await http.post("/pay")).json() == {"paid": True}
        async with beside(other.campaign(10, "http://10.0.0.2:8000")):
            await app.state.leadership.resign()
            await eventually(other.check)
            answer = await http.post("/pay")
            assert (answer.status_code, answer.headers["location"]) == (307, "http://10.0.0.2:8000/pay")
            await other.resign()
        await eventually(app.state.leadership.check)
    assert await get_leader(client, unique_key) is None


@of_kind("scheduler")
async def test_the_scheduler_runs_while_this_process_leads(
    snippet: str, client: Client, unique_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("apscheduler", reason="APScheduler is not installed")
    work = defined(snippet.replace("seconds=1,", "seconds=0.05,"), "work")
    leadership = Leadership(client, unique_key)
    said: list[str] = []

    def lines() -> list[str]:
        said.extend(capsys.readouterr().out.splitlines())
        return said

    async with beside(work(leadership)):
        await eventually(lambda: len(lines()) > 2)
        assert leadership.term is not None
        assert set(said) == {f"sending invoices, token {leadership.term.fencing_token}"}
    assert await get_leader(client, unique_key) is None
    count = len(lines())
    await asyncio.sleep(0.2)
    assert len(lines()) == count


@of_kind("scheduler")
async def test_a_job_of_the_scheduler_has_ended_before_the_key_goes(
    snippet: str, client: Client, unique_key: str
) -> None:
    pytest.importorskip("apscheduler", reason="APScheduler is not installed")
    names = executed(snippet.replace("seconds=1,", "seconds=0.05,"))
    began, seen = asyncio.Event(), []

    async def slow_to_end(term: aioelection.Term) -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.2)
                seen.append(await get_leader(client, unique_key))

    names["send_invoices"] = slow_to_end
    async with beside(names["work"](Leadership(client, unique_key))):
        await soon(began.wait())
    assert seen and all(leader is not None for leader in seen)
    assert await get_leader(client, unique_key) is None


@of_kind("draining")
async def test_the_job_in_hand_is_finished(snippet: str, client: Client, unique_key: str) -> None:
    names = executed(snippet)
    jobs: list[str] = []
    at_work = asyncio.Event()

    async def one_job(term: aioelection.Term) -> None:
        jobs.append("begun")
        at_work.set()
        await asyncio.sleep(0.1)
        assert term.check()
        jobs.append("done")

    names["one_job"] = one_job
    stopping = asyncio.Event()
    async with beside(names["serve"](Leadership(client, unique_key), stopping)) as serving:
        await soon(at_work.wait())
        stopping.set()
        await soon(serving)
    assert jobs == ["begun", "done"]
    assert await get_leader(client, unique_key) is None


@of_kind("adopted")
async def test_a_client_of_aetcd_is_taken_as_it_is(snippet: str, stranger: Stranger, unique_key: str) -> None:
    names = executed(snippet, **{"/billing/leader": unique_key})
    await soon(names["migrate"](stranger.client))
    await Client.from_aetcd(stranger.client).aclose()
    assert await stranger.get(unique_key) is None


@of_kind("tls")
def test_tls_is_accepted(snippet: str) -> None:
    assert executed(snippet)["tls"].cert == "/etc/etcd/tls/tls.crt"
