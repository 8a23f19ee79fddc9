"""The fingerprint of floating point differs where a function that results depend on does."""

from __future__ import annotations

import math

import pytest

from tidemill.fold.arithmetic import arithmetic_digest


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "expm1", "log1p"])
def test_one_last_bit_is_another_arithmetic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, usual = arithmetic_digest(), getattr(math, name)
    monkeypatch.setattr(math, name, lambda x: math.nextafter(usual(x), math.inf))
    assert arithmetic_digest.__wrapped__() != here
