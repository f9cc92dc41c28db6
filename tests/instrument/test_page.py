"""The programs of docs/instrumentation.md, on a real etcd; the metrics of the first are scraped as Prometheus would."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[2] / "docs" / "instrumentation.md"
SCRAPED, LOGGING = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
PORT = "9464"


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    """The program, interrupted as by Ctrl-C when the block ends."""
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            complaint = process.stderr.read()
    assert complaint.rstrip().endswith("KeyboardInterrupt") and "the hook" not in complaint


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(port: int) -> dict[str, float]:
    """Each sample of our metrics, by its name and labels as they are written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples if sample.name.startswith("aioelection_"))
    return {f"{each.name} {' '.join(each.labels.values())}".strip(): each.value for each in samples}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_metrics_can_be_scraped(endpoint: str) -> None:
    port = free_port()
    assert PORT in SCRAPED and "http://127.0.0.1:2379" in SCRAPED
    with running(SCRAPED.replace("http://127.0.0.1:2379", endpoint).replace(PORT, str(port))) as process:
        assert process.stdout is not None
        token = re.match(r"leading <Term (\d+) of b'/billing/leader' 'invoices' ", process.stdout.readline())
        assert token is not None
        until(lambda: scrape(port).get("aioelection_renewal_duration_seconds_count invoices", 0) >= 1)
        found = scrape(port)
        assert 3 < found["aioelection_remaining_seconds /billing/leader invoices"] < 10
        assert found["aioelection_leading /billing/leader invoices"] == 1
        assert found["aioelection_lease_ttl_seconds /billing/leader invoices"] == 10
        assert found["aioelection_fencing_token /billing/leader invoices"] == int(token[1])
        assert found["aioelection_terms_won_total /billing/leader invoices"] == 1
        assert 0 < found["aioelection_renewal_duration_seconds_sum invoices"] < 5


def test_hooks_of_ones_own_and_others_beside_each_other(endpoint: str) -> None:
    with running(LOGGING.replace("http://127.0.0.1:2379", endpoint)) as process:
        assert process.stdout is not None
        assert re.fullmatch(r"leader after \d+\.\d{3} s\n", process.stdout.readline())
