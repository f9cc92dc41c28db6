"""What `/metrics` answers: the library's metrics, and those of the process, where prometheus-client is installed."""

from __future__ import annotations

import importlib.util
from http import HTTPStatus

from aioelection.cli._http import Answer
from aioelection.instrument import Hook

MISSING = b'{"error": "no metrics: pip install aioelection[prometheus]"}\n'


class Metrics:
    """Of one process."""

    def __init__(self) -> None:
        self.hooks: tuple[Hook, ...] = ()
        """For the client."""
        if importlib.util.find_spec("prometheus_client") is not None:
            from aioelection.instrument.prometheus import PrometheusHook  # noqa: PLC0415 (heavy, and an extra)

            self.hooks = (PrometheusHook(),)

    def answer(self) -> Answer:
        """In the text format that every Prometheus reads."""
        if not self.hooks:
            return Answer(HTTPStatus.NOT_IMPLEMENTED, MISSING)
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415

        return Answer(HTTPStatus.OK, generate_latest(), CONTENT_TYPE_LATEST)
