"""The dashboard and the alerts ask for metrics and labels that exist, and for all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tasks.actors.metrics import METRICS
from tasks.dataset.footer import ACTOR_STAGES

INFRA = Path(__file__).parents[2] / "infra"
# What Ray adds to each metric, and Prometheus to a histogram.
RAYS = {"SessionName", "NodeAddress", "WorkerId", "le"}
QUEUES = {"contents", "shards_waiting", "shards_out", "shards_given_up"}


def dashboard() -> Any:
    return json.loads((INFRA / "grafana" / "atelier.json").read_text())


def queries() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    return panels + [rule["expr"] for rule in rules]


def asked(query: str) -> list[tuple[str, set[str]]]:
    """Names of metrics in a query, each with the labels that it is chosen by."""
    found = re.findall(r"(ray_\w+)(?:\{(.*?)\})?", query)
    return [(name, set(re.findall(r"(\w+)(?:=~|!=|=)", chosen))) for name, chosen in found]


def exported() -> dict[str, set[str]]:
    """Every name at the endpoint, with its labels."""
    names: dict[str, set[str]] = {}
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        names |= {f"{metric.exported}{ending}": {*metric.tags, *RAYS} for ending in endings}
    return names


def test_queries_name_metrics_and_labels_that_exist() -> None:
    names = exported()
    for query in queries():
        assert asked(query), query
        for name, labels in asked(query):
            assert name in names, query
            assert labels <= names[name], query
        grouped = {word for words in re.findall(r"by \(([^)]*)\)", query) for word in re.findall(r"\w+", words)}
        assert grouped <= set().union(*(names[name] for name, _ in asked(query))), query


def test_every_metric_is_shown() -> None:
    shown = {name for query in queries() for name, _ in asked(query)}
    for metric in METRICS:
        assert any(name.startswith(metric.exported) for name in shown), metric.name


def test_queries_name_stages_and_queues_that_exist() -> None:
    text = " ".join(queries())
    (stages,) = re.findall(r'stage=~"([^"]*)"', text)
    assert tuple(stages.split("|")) == ACTOR_STAGES
    for queue in re.findall(r'queue=~?"([^"]*)"', text):
        assert any(re.fullmatch(queue, one) for one in QUEUES), queue


def test_the_dashboard_is_one() -> None:
    content = dashboard()
    assert (content["uid"], content["title"]) == ("atelier", "Atelier")
    ids = [panel["id"] for panel in content["panels"]]
    assert len(ids) == len(set(ids)) >= 10
    sources = [panel["datasource"]["uid"] for panel in content["panels"]]
    source = yaml.safe_load((INFRA / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    assert set(sources) == {source["datasources"][0]["uid"]}
    places = [tuple(panel["gridPos"].values()) for panel in content["panels"]]
    assert len(places) == len(set(places))


def test_prometheus_reads_its_rules() -> None:
    content = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text())
    assert all((INFRA / "prometheus" / name).exists() for name in content["rule_files"])
    rules = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    page = (INFRA / "OPERATIONS.md").read_text()
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["alert"] in page, f"the runbook says nothing of {rule['alert']}"
