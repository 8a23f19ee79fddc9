"""The tables in docs are what the code says, and alerts name only what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill.contracts.metric import Kind
from tidemill.contracts.metrics import METRICS
from tidemill.contracts.tables import PAGES, main
from tidemill.contracts.topics import TOPICS

DOCS = Path(__file__).parents[2] / "docs"

# What Prometheus itself adds to every scrape and every series.
ITS_OWN = {"up"}
ITS_LABELS = {"job", "instance", "le"}

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def series() -> set[str]:
    """Return every name that can be asked for."""
    found = set(ITS_OWN)
    for metric in METRICS:
        parts = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {metric.name + part for part in parts}
    return found


def labels() -> set[str]:
    return {label.name for metric in METRICS for label in metric.labels} | ITS_LABELS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), (
        f"docs/{name} is stale; run python -m tidemill.contracts.tables"
    )


def test_every_page_is_written(tmp_path: Path) -> None:
    main(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)


def test_every_topic_and_metric_has_a_row_that_says_what_it_is() -> None:
    topics, metrics = PAGES["topics.md"](), PAGES["metrics.md"]()

    assert all(f"| `{topic.name}` | {topic.about} |" in topics for topic in TOPICS)
    assert all(f"| `{metric.name}` | {metric.kind} |" in metrics for metric in METRICS)
    assert all(topic.about for topic in TOPICS)
    assert all(metric.about for metric in METRICS)


def test_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_rows_have_as_many_cells_as_their_heads() -> None:
    for page in PAGES.values():
        for table in re.findall(r"(?:^\|.*\n)+", page(), re.MULTILINE):
            rows = [re.split(r"(?<!\\)\|", line) for line in table.splitlines()]
            assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_only_metrics_and_labels_there_are(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    text = " ".join(rule["annotations"].values())
    selected = re.findall(r"\{(\w+)", expression)
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)

    assert set(re.findall(r"\b(?:tidemill_\w+|up)\b", expression)) <= series()
    assert re.findall(r"\b(?:tidemill_\w+|up)\b", expression)
    assert set(re.findall(r"tidemill_\w+", text)) <= series()
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels()
    assert {name for part in grouped for name in re.split(r",\s*", part)} <= labels()
    assert set(selected) <= labels()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_severity_summary_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]

    assert len(set(names)) == len(names)
    assert all(name.startswith("Tidemill") for name in names)
