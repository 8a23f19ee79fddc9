"""A plant whose predictions and labels are written as they are, without learners; and labellers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from chaos.beside import Beside
from chaos.feeding import Feed, Outgoing
from chaos.inputs import Seats
from chaos.label_balance import Placed, check_labels, decoded, letter_of
from chaos.mesh import Mesh
from chaos.plant import SCALED, START_US, STEP_US, event_id
from chaos.redis_faults import RedisFaults
from chaos.sheets import Sheet, SheetPlant
from chaos.waiting import await_value
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import LABELS, PREDICTIONS, UPDATES
from tidemill.kernel.deadletters import SUFFIX
from tidemill.local.redis import EmbeddedRedis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STREAM = "lab"
FEATURES = ("pressure", "temperature", "flow", "vibration")
ASSETS = 40
TTL_S = 864_000.0
READ_WITHIN_S = 3_600.0


class LabelledMesh:
    """Broker, Redis and labellers; everything ends with the block.

    Attributes:
        labellers: By instance name, none started.
        faults: What may befall Redis.
    """

    def __init__(self, folder: Path, partitions: int = 4) -> None:
        model = {"champion": [SCALED, "linear_model.LinearRegression"]}
        target = {"label": {"name": "purity", "kind": "regression", "ttl": f"{TTL_S:g}s"}}
        sheet = Sheet(STREAM, FEATURES, model, options={"target": target})
        self.redis = EmbeddedRedis(folder)
        self.mesh = Mesh(folder / "mesh", SheetPlant([sheet], partitions=partitions))
        self.faults = RedisFaults(self.redis, folder)
        self._folder = folder
        self._partitions = partitions
        self._seats = Seats(partitions)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.redis.start()
            stack.callback(self.redis.stop)
            stack.enter_context(self.mesh)
            flags = ["--redis", str(self.redis.url)]
            self.labellers = stack.enter_context(Beside("labeller", self.mesh, self._folder, flags))
            self.feed = Feed(self.mesh.bootstrap)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prediction(self, number: int) -> Outgoing:
        """Return what was predicted of event `number`."""
        asset = f"plant/lab/tank/t{number % ASSETS}"
        partition = self._seats.of(asset)
        record = {
            "event_id": event_id(number),
            "asset": asset,
            "stream": STREAM,
            "time": START_US + number * STEP_US,
            "source": {"topic": "sensor.events", "partition": partition, "offset": number},
            "model": f"{STREAM}/champion",
            "version": number,
            "lineage": number.to_bytes(32, "big"),
            "value": number / 7,
            "features": {name: number / (place + 3) for place, name in enumerate(FEATURES)},
        }
        value = codec("Prediction").encode(record)
        return Outgoing(PREDICTIONS, partition, asset.encode(), value)

    def label(
        self, number: int, value: float, *, revision: int = 0, partition: int, after_s: float = 60.0
    ) -> Outgoing:
        """Return a label of event `number`, so much later than it."""
        asset = f"plant/lab/tank/t{number % ASSETS}"
        record: dict[str, Any] = {  # Any: the values of an Avro record
            "event_id": event_id(number),
            "asset": asset,
            "value": value,
            "revision": revision,
            "time": START_US + number * STEP_US + round(after_s * 1e6),
        }
        return Outgoing(LABELS, partition, asset.encode(), codec("Label").encode(record))

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write records, acknowledged."""
        self.feed.write(records)
        self.feed.finish()

    def await_read(self) -> None:
        """Wait until all that was written is committed as read."""

        def is_read() -> bool:
            self.labellers.check()
            return self.mesh.lag_of("labeller") == 0

        await_value(is_read, self._said, READ_WITHIN_S)

    def await_restored(self) -> None:
        """Wait until the labellers that are up have opened all partitions between them."""

        def is_restored() -> bool:
            self.labellers.check()
            owned = [worker.assigned() for worker in self.labellers.up()]
            return sorted(number for parts in owned for number in parts) == list(
                range(self._partitions)
            )

        await_value(is_restored, self._said, READ_WITHIN_S)

    def check(self) -> int:
        """Hold what was written by labellers; return how many examples there are."""
        mesh = self.mesh
        labels = [
            Placed(codec("Label").decode(each.value), each.partition, each.offset)
            for part in mesh.read(LABELS)
            for each in part
        ]
        predictions = [each.value for part in mesh.read(PREDICTIONS) for each in part]
        updates = [decoded("Update", (each.value for each in p)) for p in mesh.read(UPDATES)]
        dead = [letter_of(each.headers) for part in mesh.read(LABELS + SUFFIX) for each in part]
        return check_labels(decoded("Prediction", predictions), labels, updates, dead, ttl_s=TTL_S)

    def _said(self) -> str:
        return str({worker.name: worker.said() for worker in self.labellers.up()})
