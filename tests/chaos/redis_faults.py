"""What may befall a Redis: restarted, set back by some writes, wiped."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tidemill.local.redis import EmbeddedRedis


class RedisFaults:
    """Faults of one Redis, which keeps its address through all of them.

    Args:
        folder: For a copy of its data.
    """

    def __init__(self, redis: EmbeddedRedis, folder: Path) -> None:
        self._redis = redis
        self._copy = folder / "older"

    def restart(self) -> None:
        """Stop it in good order and start it again: nothing is lost."""
        self._redis.restart()

    def set_back(self, meanwhile: Callable[[], None]) -> None:
        """Kill it, and start it with its data of a while ago: the writes since then are lost.

        Args:
            meanwhile: What happens between the copy and the kill.
        """
        data = self._redis.home.data
        shutil.rmtree(self._copy, ignore_errors=True)
        # A log of writes cut anywhere is one that a power cut left behind.
        shutil.copytree(data, self._copy)
        meanwhile()
        self._redis.kill()
        shutil.rmtree(data)
        shutil.copytree(self._copy, data)
        self._redis.start()

    def wipe(self) -> None:
        """Kill it, and start it with nothing."""
        self._redis.kill()
        shutil.rmtree(self._redis.home.data)
        self._redis.start()
