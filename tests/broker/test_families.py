"""Every class that a definition may name, over Kafka and through kills, equals plain River."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.families import FAMILIES
from chaos.many_models import Size, check_families, prove_families, readings, sheets
from chaos.sheets import SheetPlant
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS
from tidemill.fold.applying import Fold
from tidemill.kernel.records import Message
from tidemill.models.families import ALLOWED

if TYPE_CHECKING:
    from pathlib import Path

SIZE = Size(rows=300, assets=2, kills=2, snapshot_every=300, batch=100, seed=1)


def test_every_class_that_a_definition_may_name_is_proven() -> None:
    assert {family.cls for family in FAMILIES} == set(ALLOWED)


def test_every_family_answers_as_plain_river_in_the_fold_alone() -> None:
    plant, rows = SheetPlant(sheets()), readings(SIZE._replace(rows=80))
    values = [outgoing.value for outgoing in plant.events(rows)]
    messages = [Message(EVENTS, 0, number, None, value) for number, value in enumerate(values)]
    emits = Fold(plant.terms(), 0).apply(messages, 0)

    compared = check_families([codec("Prediction").decode(emit.value) for emit in emits], rows)

    assert set(compared.values()) == {80}


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_every_family_answers_as_plain_river_to_the_last_bit_through_kills(tmp_path: Path) -> None:
    figures, (table,) = prove_families(tmp_path, SIZE)

    assert figures["workers killed by kill -9"] == "2"
    assert len(table.rows) == len(FAMILIES)
    assert all(answers == "300" for _, _, answers, *_ in table.rows)
