"""Verify: the ledger's chain, and every topic held against it. Folds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import LEDGER
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.audit.chain import newest_sound, walk
from tidemill.fold.audit.exam import Exam
from tidemill.fold.audit.findings import Findings
from tidemill.fold.audit.saved import SavedStates
from tidemill.fold.audit.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.fold.ledger import Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log


def verify(
    log: Log,
    partition: int,
    signing: SigningKey | None = None,
    *,
    on_entry: Callable[[Entry], None] | None = None,
) -> Findings:
    """Hold everything that is retained of one partition against its ledger.

    Goes on after a finding where that is sound.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        signing: The key of snapshots and anchors; None leaves signatures unchecked, and says so.
        on_entry: Told of every entry, for progress.
    """
    report = Findings(partition)
    begin, end = log.span(LEDGER, partition)
    tail = newest_sound(log, partition)
    until = -1 if tail is None else tail.entry.sequence
    saved = SavedStates(log, partition, signing, until=until)
    saved.report(report)
    exam = Exam(log, partition, saved=saved, findings=report)
    tally = Tally()
    for walked in walk(log, partition, begin, end):
        examined = exam.examine(walked)
        if examined is None or walked.findings:
            tally.lose_the_thread()
        if examined is None:
            continue
        report.add(tally.follow(examined.placed))
        report.add(examined.findings)
        report.add(exam.judge_inputs(examined))
        report.add(exam.judge_outputs(examined))
        exam.go_on(examined.entry)
        _note_others(report, examined.entry)
        if on_entry is not None:
            on_entry(examined.entry)
    report.add(exam.end())
    note_reach(report)
    return report


def note_reach(report: Findings) -> None:
    """Say from where on the audit can vouch."""
    if report.first is None:
        report.note("the ledger holds no entry: there is nothing to vouch for")
        return
    if report.first > 0:
        report.note(f"entries before {report.first} were not looked at or are no longer retained")
    for what in ("inputs", "outputs"):
        count = report.counts[f"entries_without_{what}"]
        if count:
            report.note(f"{what} of {count} entries are no longer retained: not checked there")


def _note_others(report: Findings, entry: Entry) -> None:
    if entry.arithmetic != arithmetic_digest():
        report.note("some entries were computed with other arithmetic than this machine's")
    if entry.code != code_digest():
        report.note("some entries were computed by other code than this release's")
