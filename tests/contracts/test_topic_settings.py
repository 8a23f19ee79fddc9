"""What topics must be like: what is created, changed, refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidemill.contracts.topic_settings import (
    DURABLE,
    Found,
    Shorter,
    Verdict,
    Wanted,
    judge,
    judge_internal,
    settings_of,
)
from tidemill.contracts.topics import (
    ALARMS,
    ALERTS_CLOCK,
    BY_NAME,
    DECISIONS,
    EVENTS,
    FEEDBACK,
    LEDGER,
    PREDICTIONS,
    RECEIPTS,
    SNAPSHOTS,
    TOPICS,
    UPDATES,
)

WANTED = Wanted(partitions=8, replication=1, brokers=1)
PRODUCTION = replace(WANTED, replication=3, brokers=3, check_replication=3, is_production=True)
DAY_MS = 24 * 3600 * 1000


def like_wanted(name: str, **settings: str) -> Found:
    """Return a topic just as it must be, apart from `settings`, `_` for `.` in their names."""
    asked = {s.name: s.value for s in settings_of(BY_NAME[name], is_production=True)}
    changed = {key.replace("_", "."): value for key, value in settings.items()}
    return Found(8, 3, {**asked, **changed})


def judged(name: str, found: Found | None, wanted: Wanted = WANTED) -> Verdict:
    return judge(BY_NAME[name], found, wanted)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_as_it_is_created_needs_nothing(topic: object) -> None:
    name = topic.name  # type: ignore[attr-defined]  # a parameter of pytest is an object
    created = judged(name, None).create

    assert created is not None
    assert judged(name, Found(8, 1, created)) == Verdict(name)


def test_inputs_are_created_to_be_kept_for_184_days_whatever_their_size() -> None:
    created = judged(EVENTS, None).create or {}

    assert created["cleanup.policy"] == "delete"
    assert created["retention.ms"] == str(184 * DAY_MS)
    assert created["retention.bytes"] == "-1"


def test_ticks_are_kept_for_a_day_and_what_keeps_them_for_longer_is_changed_unasked() -> None:
    created = judged(ALERTS_CLOCK, None).create or {}
    wanted = replace(WANTED, shorter=Shorter.ACCEPTED)
    verdict = judged(
        ALERTS_CLOCK,
        like_wanted(ALERTS_CLOCK, retention_ms=str(184 * DAY_MS), segment_ms=str(7 * DAY_MS)),
        wanted,
    )

    assert created["retention.ms"] == str(DAY_MS)
    assert int(created["segment.ms"]) <= DAY_MS // 24
    assert "retention.bytes" not in created
    assert verdict.state == "change"
    assert [change.setting for change in verdict.changes] == ["retention.ms", "segment.ms"]
    assert judged(ALERTS_CLOCK, like_wanted(ALERTS_CLOCK, retention_ms="3600000")).state == "ok"


def test_changes_of_alarms_are_kept_for_a_month_at_least() -> None:
    assert (judged(ALARMS, None).create or {})["retention.ms"] == str(31 * DAY_MS)
    assert judged(ALARMS, like_wanted(ALARMS, retention_ms=str(184 * DAY_MS))).state == "ok"
    assert judged(ALARMS, like_wanted(ALARMS, retention_ms=str(7 * DAY_MS))).state == "refused"


def test_snapshots_are_compacted_soon_and_may_be_large() -> None:
    created = judged(SNAPSHOTS, None).create or {}

    assert created["cleanup.policy"] == "compact"
    assert int(created["segment.bytes"]) < 1 << 30
    assert int(created["max.compaction.lag.ms"]) <= 3_600_000
    assert int(created["max.message.bytes"]) >= 10_000_000
    assert "retention.ms" not in created


@pytest.mark.parametrize("name", [PREDICTIONS, f"{EVENTS}.dlq", f"{UPDATES}.dlq"])
def test_what_is_written_of_a_record_may_be_larger_than_the_record(name: str) -> None:
    created = judged(name, None).create or {}
    verdict = judged(name, like_wanted(name, max_message_bytes="1048588"))

    assert int(created["max.message.bytes"]) >= 10_000_000
    assert [change.setting for change in verdict.changes] == ["max.message.bytes"]
    assert "max.message.bytes" not in (judged(EVENTS, None).create or {})


def test_the_times_of_feedback_are_the_brokers() -> None:
    verdict = judged(FEEDBACK, like_wanted(FEEDBACK, message_timestamp_type="CreateTime"))

    assert [(c.setting, c.wanted) for c in verdict.changes] == [
        ("message.timestamp.type", "LogAppendTime")
    ]


@pytest.mark.parametrize("name", [UPDATES, RECEIPTS, DECISIONS])
def test_what_feedback_causes_needs_kafkas_default_at_least(name: str) -> None:
    verdict = judged(name, like_wanted(name, max_message_bytes="500000"))

    assert [(c.setting, c.wanted) for c in verdict.changes] == [("max.message.bytes", "1048588")]


@pytest.mark.parametrize("partitions", [7, 9])
def test_another_partition_count_is_refused_and_never_changed(partitions: int) -> None:
    verdict = judged(EVENTS, replace(like_wanted(EVENTS), partitions=partitions))

    assert verdict.state == "refused"
    assert f"definition's 8, are {partitions}" in verdict.refusals[0]
    assert not verdict.changes


@pytest.mark.parametrize("setting", ["retention_ms", "retention_bytes"])
def test_a_shorter_retention_is_refused_with_the_reason(setting: str) -> None:
    found = like_wanted(EVENTS, **{setting: str(7 * DAY_MS)})

    (refusal,) = judged(EVENTS, found).refusals

    assert "what is not retained cannot be replayed" in refusal
    assert "--short-retention" in refusal


def test_a_shorter_retention_is_accepted_or_raised_on_request() -> None:
    found = like_wanted(EVENTS, retention_ms=str(7 * DAY_MS))

    accepted = judged(EVENTS, found, replace(WANTED, shorter=Shorter.ACCEPTED))
    raised = judged(EVENTS, found, replace(WANTED, shorter=Shorter.RAISED))

    assert accepted.state == "ok"
    (change,) = raised.changes
    assert (change.setting, change.wanted) == ("retention.ms", str(184 * DAY_MS))


@pytest.mark.parametrize("retention", ["-1", str(400 * DAY_MS)])
def test_a_longer_retention_is_right(retention: str) -> None:
    assert judged(EVENTS, like_wanted(EVENTS, retention_ms=retention)).state == "ok"


def test_a_small_message_limit_is_raised_where_messages_are_large() -> None:
    verdict = judged(LEDGER, like_wanted(LEDGER, max_message_bytes="1048588"))

    assert verdict.state == "change"
    assert [change.setting for change in verdict.changes] == ["max.message.bytes"]


def test_snapshots_that_are_deleted_by_time_become_compacted() -> None:
    verdict = judged(SNAPSHOTS, like_wanted(SNAPSHOTS, cleanup_policy="delete"))

    assert [change.wanted for change in verdict.changes] == ["compact"]


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_an_input_that_was_compacted_is_refused_for_records_may_be_gone(policy: str) -> None:
    verdict = judged(EVENTS, like_wanted(EVENTS, cleanup_policy=policy))

    assert "records may be gone" in verdict.refusals[0]


def test_an_input_that_is_never_cleaned_is_right() -> None:
    assert judged(EVENTS, like_wanted(EVENTS, cleanup_policy="")).state == "ok"


def test_copies_count_only_where_they_are_asked_for() -> None:
    found = replace(like_wanted(EVENTS), replication=1)

    assert judged(EVENTS, found).state == "ok"
    assert judged(EVENTS, found, replace(WANTED, check_replication=3)).state == "refused"


def test_production_refuses_a_single_copy_and_changes_what_loses_records() -> None:
    found = like_wanted(EVENTS)
    risky = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    poor = replace(found, replication=1, settings={**found.settings, **risky})

    assert judged(EVENTS, found, PRODUCTION).state == "ok"
    verdict = judged(EVENTS, poor, PRODUCTION)
    assert "replication must be at least 3" in verdict.refusals[0]
    assert [change.setting for change in verdict.changes] == list(risky)


def test_production_refuses_to_create_on_too_few_brokers() -> None:
    verdict = judged(EVENTS, None, replace(PRODUCTION, brokers=2))

    assert verdict.refusals == ("must be created with 3 copies, brokers are 2",)


def test_kafkas_own_topics_are_judged_and_never_changed() -> None:
    right = {setting.name: setting.value for setting in DURABLE}
    wrong = {**right, "min.insync.replicas": "1"}

    assert judge_internal("__consumer_offsets", Found(50, 3, right)).state == "ok"
    verdict = judge_internal("__consumer_offsets", Found(50, 1, wrong))
    assert not verdict.changes
    assert len(verdict.refusals) == 2
