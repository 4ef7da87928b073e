"""Alert rules and dashboard speak of metrics, labels, commands and settings that exist, and use each as what it is."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from core.metrics import FAMILIES, Family, Kind
from core.settings import PREFIX, options
from models.health_queries import ACCOUNT_STATES, CHANNEL_STATES
from scripts.generate_docs import command_tree
from tests.support.yaml_files import read_yaml
from tests.test_docs import Typed, problem_of

DOCKER = Path(__file__).resolve().parent.parent / "docker"
NAMES = {family.name: family for family in FAMILIES}
# What Prometheus adds to every series.
_ADDED = {"job", "instance"}
_METRIC = re.compile(r"\b(twinbox_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_VALUES = {
    ("twinbox_accounts", "state"): set(ACCOUNT_STATES),
    ("twinbox_channels", "state"): set(CHANNEL_STATES),
}


@dataclass(frozen=True, slots=True)
class Use:
    """One metric in an expression: its family, what its name ends with, its matchers and what stands before it."""

    family: Family | None
    name: str
    matchers: tuple[tuple[str, str], ...]
    before: str


def uses(expression: str) -> list[Use]:
    found = []
    for match in _METRIC.finditer(expression):
        name = match[1]
        base = re.sub("_(bucket|sum|count)$", "", name)
        family = NAMES.get(name) or (NAMES.get(base) if base != name else None)
        if family is not None and (family.kind is Kind.HISTOGRAM) != (family.name != name):
            family = None  # a histogram has no series of its own name, and nothing else has buckets
        found.append(Use(family, name, tuple(_MATCHER.findall(match[2] or "")), expression[: match.start()]))
    return found


def problems(expression: str) -> list[str]:
    """What is wrong with an expression of PromQL, as far as it speaks of our metrics."""
    wrong, known = [], set(_ADDED)
    for use in uses(expression):
        if use.family is None:
            wrong.append(f"no metric {use.name}")
            continue
        labels = set(use.family.labels) | ({"le"} if use.family.kind is Kind.HISTOGRAM else set())
        known |= labels
        for label, value in use.matchers:
            allowed = _VALUES.get((use.family.name, label))
            if label not in labels | _ADDED:
                wrong.append(f"{use.name} has no label {label}")
            elif allowed is not None and value not in allowed:
                wrong.append(f"{use.name} is never {label}={value}")
        grows = use.family.kind is not Kind.GAUGE
        if grows != bool(re.search(r"(rate|increase)\($", use.before)):
            wrong.append(f"{use.name} is a {use.family.kind}")
    grouped = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    wrong += [f"nothing has the label {label}" for label in sorted(grouped - known)]
    return wrong


# ---- alerts ----------------------------------------------------------------------------------------------


def rules() -> list[dict[str, Any]]:
    groups = read_yaml(DOCKER / "prometheus" / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


each_rule = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])


@each_rule
def test_an_alert_asks_for_what_exists(rule: dict[str, Any]) -> None:
    assert problems(rule["expr"]) == []
    assert uses(rule["expr"]) or rule["expr"] == 'up{job="twinbox"} == 0'


@each_rule
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert re.fullmatch(r"([1-9]\d*[mhd])?", rule.get("for", ""))
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description"}
    left = grouping(rule["expr"])
    assert set(re.findall(r"\$labels\.(\w+)", notes["description"])) <= left


def grouping(expression: str) -> set[str]:
    """The labels that the result of an expression has."""
    outer = re.match(r"sum by \(([^)]*)\)", expression)
    if outer:
        return set(re.split(r",\s*", outer[1]))
    return set() if re.match(r"(sum|max|min|histogram_quantile)\(", expression) else set(_ADDED)


@each_rule
def test_an_alert_names_commands_and_settings_that_exist(rule: dict[str, Any]) -> None:
    said = rule["annotations"]["description"]
    tree = command_tree()
    commands = [span for span in re.findall(r"`([^`]+)`", said) if span.startswith("twinbox ")]
    for command in commands:
        assert problem_of(Typed(tuple(shlex.split(command)[1:]), strict=False), tree) == ""
    known = {PREFIX + option.name.upper() for option in options()}
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", said)) <= known


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 8


def test_prometheus_asks_where_the_services_answer() -> None:
    told = read_yaml(DOCKER / "prometheus" / "prometheus.yml")
    assert [(DOCKER / "prometheus" / name).is_file() for name in told["rule_files"]] == [True]
    (job,) = told["scrape_configs"]
    assert job["job_name"] == "twinbox"  # the alert `TwinboxDown` asks for it
    (found,) = job["dns_sd_configs"]
    watched: set[str] = set()
    for name in ("compose.yml", "compose.scale.yml"):
        for service, one in read_yaml(DOCKER / name)["services"].items():
            if one["image"].startswith("twinbox:") and one["restart"] != "no":
                watched.add(service)
                assert one["environment"]["TWINBOX_METRICS_LISTEN"] == f"0.0.0.0:{found['port']}"
    assert set(found["names"]) == watched


# ---- dashboard -------------------------------------------------------------------------------------------


def dashboard() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((DOCKER / "grafana" / "twinbox.json").read_text(encoding="utf-8")))


each_panel = pytest.mark.parametrize("panel", dashboard()["panels"], ids=lambda panel: panel["title"])


@each_panel
def test_a_panel_shows_what_exists(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        expression = target["expr"]
        assert problems(re.sub(r'\w+=~"\$channel",?', "", expression)) == []
        assert uses(expression)
        labels = {label for use in uses(expression) if use.family for label in use.family.labels}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
        assert set(re.findall(r"\$(\w+)", expression)) <= {"channel", "__rate_interval"}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_panels_do_not_lie_on_each_other() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_choices_above_the_dashboard_are_those_its_panels_use() -> None:
    told = {one["name"]: one for one in dashboard()["templating"]["list"]}
    assert set(told) == {"source", "channel"}
    assert told["channel"]["query"] == "label_values(twinbox_channels, channel)"
    assert {str(panel["datasource"]["uid"]) for panel in dashboard()["panels"]} == {"${source}"}


def test_every_metric_is_shown_or_alerted_on() -> None:
    told = [rule["expr"] for rule in rules()]
    told += [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    shown = {use.family for expression in told for use in uses(expression)}
    # Rounds of the loop are what /healthz goes by.
    assert {family.name for family in FAMILIES if family not in shown} == {"twinbox_scheduler_turns_total"}


# ---- the reader above ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("max(twinbox_nothing) > 0", ["no metric twinbox_nothing"]),
        ("max(twinbox_run_seconds) > 0", ["no metric twinbox_run_seconds"]),
        ("rate(twinbox_accounts_bucket[5m])", ["no metric twinbox_accounts_bucket"]),
        ('twinbox_accounts{status="linked"}', ["twinbox_accounts has no label status"]),
        ('twinbox_accounts{state="lost"}', ["twinbox_accounts is never state=lost"]),
        ("sum(twinbox_runs_total) > 0", ["twinbox_runs_total is a counter"]),
        ("rate(twinbox_accounts[5m])", ["twinbox_accounts is a gauge"]),
        ("max by (account) (twinbox_accounts)", ["nothing has the label account"]),
        ('sum by (service) (rate(twinbox_provider_calls_total{code=~"429|5..", job="twinbox"}[5m]))', []),
    ],
)
def test_the_reader_of_expressions_knows_right_from_wrong(expression: str, wrong: list[str]) -> None:
    assert problems(expression) == wrong
