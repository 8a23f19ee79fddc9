"""Twenty thousand fuzzed records: no worker halts, each has its answer, and all is replayed."""

from __future__ import annotations

import pytest

from chaos.fuzz_proof import prove_fuzz


@pytest.mark.timeout(1800)
def test_no_record_halts_a_worker_and_each_has_one_answer() -> None:
    figures, (reasons, flags) = prove_fuzz(records=20_000, seed=1, say=print)

    assert figures["workers that halted"] == "0"
    assert len(reasons.rows) > 2
    assert len(flags.rows) > 5
