"""Prometheus scrapes the workers that there are, and its alerts look at that job."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
import yaml

from tidemill.contracts.topics import LEDGER

from .compose import compose
from .kustomize import OVERLAYS, RENDERERS, ROOT
from .workloads import PROCESSORS, of_compose, of_kubernetes

CONFIGURATION = yaml.safe_load((ROOT / "docs" / "prometheus.yml").read_text("utf-8"))
RULES = (ROOT / "docs" / "alerts.yml").read_text("utf-8")
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


def test_an_explainer_that_is_down_or_behind_alarms_apart_from_the_learners() -> None:
    (group,) = yaml.safe_load(RULES)["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}

    assert 'job!="tidemill-explainer"' in rules["TidemillDown"]["expr"]
    assert rules["TidemillExplainerDown"]["expr"] == 'up{job="tidemill-explainer"} == 0'
    assert f'topic!="{LEDGER}"' in rules["TidemillLagging"]["expr"]
    assert f'topic="{LEDGER}"' in rules["TidemillExplanationsLagging"]["expr"]
    for name in ("TidemillExplainerDown", "TidemillExplanationsLagging"):
        assert rules[name]["labels"] == {"severity": "warning"}


def test_the_rules_lie_beside_the_configuration_in_every_container() -> None:
    mounts = compose()["services"]["prometheus"]["volumes"]
    assert "./docs/alerts.yml:/etc/prometheus/alerts.yml:ro" in mounts
    assert "./docs/prometheus.yml:/etc/prometheus/prometheus.yml:ro" in mounts
    for overlay in OVERLAYS:
        for how, render in RENDERERS.items():
            maps = [each["data"] for each in render(overlay) if each["kind"] == "ConfigMap"]
            (found,) = (data for data in maps if "prometheus.yml" in data)
            assert found["alerts.yml"] == RULES, how
