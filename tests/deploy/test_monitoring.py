"""Prometheus scrapes the workers that there are, and its alerts look at that job."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
import yaml

from tidemill.contracts.topics import EVENTS, FEEDBACK, LABELS, LEDGER, PREDICTIONS, UPDATES
from tidemill.kernel.errors import DeadLetterReason
from tidemill.runtime.transactions import DEPENDENCY

from .compose import compose
from .kustomize import OVERLAYS, RENDERERS, ROOT
from .workloads import PROCESSORS, of_compose, of_kubernetes

CONFIGURATION = yaml.safe_load((ROOT / "docs" / "prometheus.yml").read_text("utf-8"))
RULES = (ROOT / "docs" / "alerts.yml").read_text("utf-8")
# Without these predictions go on.
BESIDE = tuple(name for name in PROCESSORS if name != "learner")
JOBS = {job["job_name"]: job for job in CONFIGURATION["scrape_configs"]}
TARGETS = {
    target for job in JOBS.values() for each in job["static_configs"] for target in each["targets"]
}


def test_every_worker_under_compose_is_scraped() -> None:
    services = compose()["services"]
    found = set()
    for each in of_compose():
        if each.argv[0] == "run":
            (alias,) = services[each.name]["networks"]["default"]["aliases"]
            found.add(f"{alias}:{each.options['probe_port']}")
    assert found == TARGETS


@pytest.mark.parametrize("how", RENDERERS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_worker_under_kubernetes_is_scraped(overlay: str, how: str) -> None:
    objects = RENDERERS[how](overlay)
    ports = {
        each.argv[1]: each.options["probe_port"]
        for each in of_kubernetes(objects, overlay)
        if each.argv[0] == "run"
    }
    found = set()
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] == "StatefulSet" and name in ports:
            pods = [f"{name}-{number}" for number in range(each["spec"]["replicas"])]
            found |= {f"{pod}.{each['spec']['serviceName']}:{ports[name]}" for pod in pods}
    assert found == TARGETS


def test_each_processor_is_a_job_of_its_own() -> None:
    assert set(JOBS) == {f"tidemill-{name}" for name in PROCESSORS}
    for name, job in JOBS.items():
        (targets,) = job["static_configs"]
        processor = name.removeprefix("tidemill-")
        assert all(f".{processor}:" in target for target in targets["targets"])


def test_the_default_path_of_prometheus_is_that_of_the_metrics() -> None:
    assert all("metrics_path" not in job for job in JOBS.values())


def test_the_rules_are_loaded_and_watch_the_job_that_is_scraped() -> None:
    assert CONFIGURATION["rule_files"] == ["alerts.yml"]
    for pattern in re.findall(r'job=~"([^"]+)"', RULES):
        assert all(fnmatch(name, pattern.replace(".*", "*")) for name in JOBS)
    assert set(re.findall(r'job!?="([^"]+)"', RULES)) <= set(JOBS)
    assert 'up{job=~"' in RULES


def test_what_is_down_or_behind_beside_the_learners_alarms_apart_from_them() -> None:
    (group,) = yaml.safe_load(RULES)["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    down = {name: rules[f"Tidemill{name.capitalize()}Down"] for name in BESIDE}

    assert f'job!~"tidemill-({"|".join(BESIDE)})"' in rules["TidemillDown"]["expr"]
    for name, rule in down.items():
        assert rule["expr"] == f'up{{job="tidemill-{name}"}} == 0'
        assert rule["labels"] == {"severity": "warning"}
        assert "Predictions go on" in rule["annotations"]["description"]


def test_each_topic_that_is_read_late_alarms_once() -> None:
    (group,) = yaml.safe_load(RULES)["groups"]
    selected = {
        rule["alert"]: re.findall(r'tidemill_lag_seconds\{topic=~?"([^"]+)"', rule["expr"])
        for rule in group["rules"]
    }
    found = {name: topics[0].split("|") for name, topics in selected.items() if topics}

    assert found == {
        "TidemillLagging": [EVENTS, UPDATES],
        "TidemillLabelsLagging": [LABELS, PREDICTIONS],
        "TidemillExplanationsLagging": [LEDGER],
    }
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in group["rules"]}
    assert {severities[name] for name in found} == {"warning"}
    rules = {rule["alert"]: rule for rule in group["rules"]}
    of_feedback = f'tidemill_lag_records{{topic="{FEEDBACK}", job!="tidemill-alerts"}}'
    assert of_feedback in rules["TidemillFeedbackLagging"]["expr"]
    of_alerts = rules["TidemillAlertsLagging"]
    assert 'tidemill_lag_records{job="tidemill-alerts"}' in of_alerts["expr"]
    assert of_alerts["labels"] == {"severity": "warning"}


def test_without_redis_nothing_critical_is_told_of_the_labeller() -> None:
    (group,) = yaml.safe_load(RULES)["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}

    assert '{job!~"tidemill-(labeller|feedback|alerts)"}' in rules["TidemillNotReady"]["expr"]
    assert '{job!="tidemill-labeller"}' in rules["TidemillNotCommitting"]["expr"]
    assert f'{{reason!="{DEPENDENCY}"}}' in rules["TidemillAborts"]["expr"]
    for name in ("TidemillLabellerNotReady", "TidemillFeedbackNotReady", "TidemillRedisForgot"):
        assert rules[name]["labels"] == {"severity": "warning"}


def test_labels_that_nothing_came_of_alarm_when_they_are_many_other_letters_at_once() -> None:
    (group,) = yaml.safe_load(RULES)["groups"]
    rules = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    usual = f"{DeadLetterReason.LATE}|{DeadLetterReason.UNKNOWN_EVENT}"

    assert f'{{reason!~"{usual}"}}' in rules["TidemillDeadLetters"]
    assert rules["TidemillLabelsSetAside"].count(f'{{topic="{LABELS}", reason=~"{usual}"}}') == 2


def test_the_rules_lie_beside_the_configuration_in_every_container() -> None:
    mounts = compose()["services"]["prometheus"]["volumes"]
    assert "./docs/alerts.yml:/etc/prometheus/alerts.yml:ro" in mounts
    assert "./docs/prometheus.yml:/etc/prometheus/prometheus.yml:ro" in mounts
    for overlay in OVERLAYS:
        for how, render in RENDERERS.items():
            maps = [each["data"] for each in render(overlay) if each["kind"] == "ConfigMap"]
            (found,) = (data for data in maps if "prometheus.yml" in data)
            assert found["alerts.yml"] == RULES, how
