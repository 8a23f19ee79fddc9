"""Prometheus scrapes the workers that there are, and its alerts look at that job."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
import yaml

from .compose import compose
from .kustomize import OVERLAYS, RENDERERS, ROOT
from .workloads import of_compose, of_kubernetes

CONFIGURATION = yaml.safe_load((ROOT / "docs" / "prometheus.yml").read_text("utf-8"))
RULES = (ROOT / "docs" / "alerts.yml").read_text("utf-8")
(JOB,) = CONFIGURATION["scrape_configs"]
TARGETS = {target for each in JOB["static_configs"] for target in each["targets"]}


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
    (learner,) = (
        each
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == ("StatefulSet", "learner")
    )
    (port,) = {
        each.options["probe_port"]
        for each in of_kubernetes(objects, overlay)
        if each.argv[0] == "run"
    }
    service = learner["spec"]["serviceName"]
    pods = [f"learner-{number}.{service}" for number in range(learner["spec"]["replicas"])]
    assert {f"{pod}:{port}" for pod in pods} == TARGETS


def test_the_default_path_of_prometheus_is_that_of_the_metrics() -> None:
    assert "metrics_path" not in JOB


def test_the_rules_are_loaded_and_watch_the_job_that_is_scraped() -> None:
    assert CONFIGURATION["rule_files"] == ["alerts.yml"]
    for pattern in re.findall(r'job=~"([^"]+)"', RULES):
        assert fnmatch(JOB["job_name"], pattern.replace(".*", "*"))
    assert 'up{job=~"' in RULES


def test_the_rules_lie_beside_the_configuration_in_every_container() -> None:
    mounts = compose()["services"]["prometheus"]["volumes"]
    assert "./docs/alerts.yml:/etc/prometheus/alerts.yml:ro" in mounts
    assert "./docs/prometheus.yml:/etc/prometheus/prometheus.yml:ro" in mounts
    for overlay in OVERLAYS:
        for how, render in RENDERERS.items():
            maps = [each["data"] for each in render(overlay) if each["kind"] == "ConfigMap"]
            (found,) = (data for data in maps if "prometheus.yml" in data)
            assert found["alerts.yml"] == RULES, how
