"""`tidemill demo` names its scenarios, and starts nothing that cannot run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cli.command import MISCONFIGURED, run
from tidemill.demo import show
from tidemill.demo.mesh import ALERTS, DRIFT, EXPLAINER, FEEDBACK, LABELLER, LEARNERS
from tidemill.demo.scenario import DEFAULT, SCENARIOS
from tidemill.demo.show import Show
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_list_has_every_scenario_and_says_which_is_the_default() -> None:
    done = run("demo", "--list")

    lines = [line for line in done.out.splitlines() if not line.startswith(" ")]
    assert done.code == 0
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert [line for line in lines if line.endswith("(default)")] == [
        f"{DEFAULT:12} {SCENARIOS[DEFAULT].about} (default)"
    ]


def test_an_unknown_scenario_starts_nothing(tmp_path: Path) -> None:
    done = run("demo", "--scenario", "steel", "--dir", tmp_path / "demo")

    assert done.code == MISCONFIGURED
    assert "--scenario: must be one of pumps, soft-sensor" in done.said
    assert not (tmp_path / "demo").exists()


def test_a_definition_that_this_version_cannot_run_starts_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "plant"
    shutil.copytree(SCENARIOS["pumps"].folder, folder)
    definition = folder / "plant.yaml"
    text = definition.read_text("utf-8")
    definition.write_text(text.replace("linear_model.LinearRegression", "linear_model.Oracle"))
    scenario = replace(SCENARIOS["pumps"], name=str(folder))

    with pytest.raises(ConfigError, match=r"linear_model\.Oracle"):
        Show(tmp_path / "demo", scenario, seconds=1.0, rate=10.0, seed=1)
    assert not (tmp_path / "demo").exists()


def test_what_is_due_happens_also_where_the_machine_stood_still_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Show(tmp_path / "demo", SCENARIOS["pumps"], seconds=6.0, rate=10.0, seed=1)
    killed: list[str] = []
    mesh = SimpleNamespace(
        broker=SimpleNamespace(bootstrap="127.0.0.1:1"),
        check_workers=lambda: None,
        kill_worker=killed.append,
        start_worker=lambda _: None,
    )
    quiet = SimpleNamespace(
        poll=lambda _: None, close=lambda: None, finish=lambda: True, send_until=lambda *_: None
    )
    monkeypatch.setattr(made, "_mesh", mesh)
    for name in ("Sender", "Watcher", "Feed"):
        monkeypatch.setattr(show, name, lambda *_, **__: quiet)
    hours = count(step=3_600)
    monkeypatch.setattr(show, "time", SimpleNamespace(monotonic=lambda: next(hours)))

    made._send_and_watch()

    assert killed == [DRIFT, ALERTS, LEARNERS[0], LABELLER, EXPLAINER, FEEDBACK]
    assert sum("finds no prediction to judge" in note for note in made._tally.notes) == 4
    assert any(note.endswith("all displays show degF") for note in made._tally.notes)


def test_the_play_begins_once_alarms_are_told_of_every_partition(tmp_path: Path) -> None:
    made = Show(tmp_path / "demo", SCENARIOS["pumps"], seconds=6.0, rate=10.0, seed=1)
    questions = made._tally.questions
    assert questions is not None
    for partition in range(made._plant.definition.partitions):
        assert made._is_past_open()
        questions.attended.add(partition)

    assert not made._is_past_open()


def test_nobody_waits_for_a_redis_or_a_processor_that_has_no_work(tmp_path: Path) -> None:
    def mesh_of(name: str) -> tuple[bool, set[str]]:
        mesh = Show(tmp_path / "demo", SCENARIOS[name], seconds=6.0, rate=10.0, seed=1)._mesh
        return mesh.redis is not None, {group.rpartition(".")[2] for group in mesh._members}

    assert mesh_of("pumps") == (False, {"learner", "feedback", "drift", "alerts"})
    assert mesh_of("soft-sensor") == (True, {"learner", "labeller"})
    assert mesh_of("load") == (False, {"learner"})
