"""What the fold says of its own certainty is true of streams that drift and of rare failures."""

from __future__ import annotations

import pytest

from chaos.calibrated import (
    CALIBRATED,
    check_coverage,
    check_deviations,
    coverage,
    deviations,
)
from models.streams import drifting_rows

NAMES = ("s0", "s1", "s2", "s3")


def test_intervals_in_predictions_hold_nine_labels_in_ten_of_a_drifting_stream() -> None:
    check_coverage("drifting", coverage(NAMES, drifting_rows(1, 10_100)))


@pytest.mark.parametrize(
    ("kind", "classifier"), [pair for pair in CALIBRATED if pair[1] != "forest"]
)
def test_rare_classes_are_predicted_as_often_as_they_come(kind: str, classifier: str) -> None:
    check_deviations(classifier, deviations(kind, classifier))
