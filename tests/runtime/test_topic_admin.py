"""What a cluster answers to who administers its topics."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.runtime import topic_admin
from tidemill.runtime.clients import KafkaError, KafkaException

ANSWER_S = 0.05


def test_a_cluster_that_does_not_answer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_admin, "_ANSWER_S", ANSWER_S)
    future: Future[Any] = Future()
    late = KafkaException(KafkaError(KafkaError._TIMED_OUT, "nobody answered"))
    timer = threading.Timer(4 * ANSWER_S, future.set_exception, [late])
    timer.start()
    with pytest.raises(ConfigError, match="create it, it said _TIMED_OUT: nobody answered"):
        topic_admin._answer(future, "create it")
    timer.join()
