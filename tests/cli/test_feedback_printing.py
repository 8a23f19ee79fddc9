"""What people wrote is printed as text and does nothing to the terminal."""

from __future__ import annotations

import pytest

from tidemill.cli.feedback_printing import escaped, print_line, print_receipt


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\nb\r", r"a\nb\r"),
        ("\x1b[2J\x07\x9b", r"\x1b[2J\x07\x9b"),
        ("left\u202eright\u2028", r"left\u202eright\u2028"),
        ("Pumpe läuft heiß, 漏れ 'x'", "Pumpe läuft heiß, 漏れ 'x'"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_no_letter_is_escaped(written: str, shown: str) -> None:
    assert escaped(written) == shown


def test_a_comment_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_line('ann (operator): RIGHT "ok\n  APPLIED  f1 FREEZE of north/1"')
    said = {"feedback_id": "f1", "status": "COUNTED", "reason": "\x1b[2Jfine\n", "asset": "a"}
    print_receipt({**said, "kind": None, "model": None, "version": None, "effect": None})

    out = capsys.readouterr().out
    assert out.count("\n") == 2
    assert "\x1b" not in out
