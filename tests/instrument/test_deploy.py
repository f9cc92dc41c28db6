"""The dashboard and the alert rules: PromQL that is right, on metrics and labels that there are."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from aioelection.instrument import (
    CampaignBegan,
    CampaignEnded,
    Outcome,
    RenewalAnswered,
    RenewalFailed,
    RenewalSent,
    TermWon,
)
from aioelection.instrument.prometheus import PrometheusHook

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "aioelection.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "aioelection.json").read_text())
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
PAGE = (Path(__file__).parents[2] / "docs" / "instrumentation.md").read_text()


def exposed() -> dict[str, set[str]]:
    """Every series that the adapter can give, with its labels, and those that a scrape adds."""
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    hook(CampaignBegan(key=b"/leader", purpose=""))
    hook(CampaignEnded(key=b"/leader", purpose="", outcome=Outcome.WON, seconds=1.0))
    hook(TermWon(key=b"/leader", purpose="", token=1, ttl=10, remaining=lambda: 5.0))
    hook(RenewalSent(lease_id=1, purpose="", key=None, interval=1.0))
    hook(RenewalAnswered(lease_id=1, purpose="", key=None, seconds=1.0, interval=1.0))
    hook(RenewalFailed(lease_id=1, purpose="", key=None, cause="late"))
    found: dict[str, set[str]] = {}
    for sample in itertools.chain.from_iterable(metric.samples for metric in registry.collect()):
        found.setdefault(sample.name, set()).update(sample.labels, {"job", "instance"})
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}


EXPOSED = exposed()


def panels() -> list[dict[str, Any]]:
    return [each for each in DASHBOARD["panels"] if each["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """All PromQL that there is, with its place; Grafana's intervals as it fills them in."""
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["target"]["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        for selector in re.findall(r"^label_values\((.*), \w+\)$", variable.get("definition", "")):
            yield variable["name"], selector


QUERIES = [pytest.param(query.replace("$__rate_interval", "5m"), id=place) for place, query in queries()]


def parsed(query: str) -> list[Any]:
    """The nodes of a query."""
    nodes: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), nodes.append)
    return nodes


def selected(query: str) -> list[Any]:
    """The selectors of series in a query."""
    return [node for node in parsed(query) if isinstance(node, promql_parser.VectorSelector)]


def by(query: str) -> list[set[str]]:
    """The labels that each ``by`` of a query leaves, the outermost first."""
    aggregates = [node for node in parsed(query) if isinstance(node, promql_parser.AggregateExpr)]
    return [set(node.modifier.labels) for node in aggregates if node.modifier is not None]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_promql_on_metrics_and_labels_that_exist(query: str) -> None:
    names = {str(each.name) for each in selected(query)}
    assert names and names <= EXPOSED.keys()
    for selector in selected(query):
        assert {each.name for each in selector.matchers.matchers} <= EXPOSED[str(selector.name)]
    labels = set.intersection(*(EXPOSED[name] for name in names))
    assert all(given <= labels for given in by(query))


def shown(texts: list[str]) -> set[str]:
    """The metrics that queries ask for; of a histogram any part."""
    return {re.sub(r"_(bucket|sum|count)$", "", str(each.name)) for query in texts for each in selected(query)}


METRICS = {re.sub(r"_(bucket|sum|count)$", "", name) for name in EXPOSED}


def test_the_dashboard_shows_every_metric() -> None:
    texts = [target["expr"].replace("$__rate_interval", "5m") for panel in panels() for target in panel["targets"]]
    assert shown(texts) == METRICS


def test_the_page_tells_of_every_metric_and_of_no_other() -> None:
    assert set(re.findall(r"`(aioelection_\w+)`", PAGE)) == METRICS


def test_the_page_tells_of_every_alert() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Alerts")[2], re.MULTILINE)) == {
        rule["alert"] for rule in ALERTS
    }


def test_the_dashboard_is_laid_out() -> None:
    """Each panel has a number, a title and a word of explanation, and covers no other."""
    everything = DASHBOARD["panels"]
    assert len({each["id"] for each in everything}) == len(everything)
    assert all(each["title"] and each["description"].endswith(".") for each in panels())
    cells: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        covered = {(place["x"] + x, place["y"] + y) for x, y in itertools.product(range(place["w"]), range(place["h"]))}
        assert not covered & cells and place["x"] + place["w"] <= 24
        cells |= covered


def test_the_dashboard_takes_the_data_source_that_is_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(each["datasource"] == chosen for panel in panels() for each in (panel, *panel["targets"]))
    names = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == names


def test_what_is_so_now_is_not_read_from_the_past() -> None:
    """A number without a time must not be the last that was seen of what is gone."""
    stats = [panel for panel in panels() if panel["type"] == "stat"]
    assert stats and all(
        target.get("instant") and not target.get("range") for each in stats for target in each["targets"]
    )


def test_an_event_is_counted_once_and_where_it_was() -> None:
    """A window reaches back to the bar before, no further, if the panel's interval is long and no target's own is set:
    Grafana makes $__rate_interval four times as long as that. And it ends at the time that the bar is drawn at."""
    for panel in panels():
        if all("increase(" in target["expr"] for target in panel["targets"]):
            given = panel["fieldConfig"]["defaults"]
            assert panel["interval"] == "2m" and not any("interval" in target for target in panel["targets"])
            assert given["custom"]["barAlignment"] == -1 and given["decimals"] == 0 and given["noValue"]
            assert all(target["expr"].endswith(" > 0") for target in panel["targets"])
        else:
            assert not any("increase(" in target["expr"] for target in panel["targets"])


def test_a_legend_names_labels_that_the_query_gives() -> None:
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "5m")
            given = [*by(query), set.intersection(*(EXPOSED[str(each.name)] for each in selected(query)))][0]
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= given - {"le"}


def test_each_alert_tells_what_and_how_bad() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        given = [*by(rule["expr"]), *(EXPOSED[str(each.name)] for each in selected(rule["expr"]))][0]
        assert set(re.findall(r"\$labels\.(\w+)", "".join(rule["annotations"].values()))) <= given


@pytest.mark.parametrize("check", [["check", "rules", RULES.name], ["test", "rules", "aioelection.rules.test.yml"]])
def test_promtool_accepts_the_rules_and_sees_them_fire(check: list[str]) -> None:
    promtool = os.environ.get("AIOELECTION_PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus has it); AIOELECTION_PROMTOOL names another")
    done = subprocess.run([promtool, *check], cwd=RULES.parent, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_would_test_every_alert() -> None:
    tests = yaml.safe_load((RULES.parent / "aioelection.rules.test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names
