"""The job as a bytewax dataflow.

Mode `memory` keeps the models in the worker's memory and saves nothing; mode `recovery` keeps
them as bytewax's own keyed state, pickled into its recovery store with the source's offsets at
the end of every epoch (the engine's default, 10 s).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow, Stream
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from bench.peers.job import AssetModel, Job, decode_event, encode_prediction
from bench.peers.options import Options, read_options

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH = timedelta(seconds=10)


def predict_in_memory(source: Stream[KafkaSourceMessage]) -> Stream[KafkaSinkMessage]:
    """Attach the job with its models in one dictionary of the process."""
    job = Job()

    def step(message: KafkaSourceMessage) -> KafkaSinkMessage:
        return KafkaSinkMessage(message.key, job.process(message.value))

    return op.map("predict", source, step)


def predict_in_state(source: Stream[KafkaSourceMessage]) -> Stream[KafkaSinkMessage]:
    """Attach the job with one keyed state per asset."""

    def key_by_asset(message: KafkaSourceMessage) -> tuple[str, Mapping[str, object]]:
        event = decode_event(message.value)
        return str(event["asset"]), event

    def step(
        model: AssetModel | None, event: Mapping[str, object]
    ) -> tuple[AssetModel, KafkaSinkMessage]:
        model = model or AssetModel()
        prediction = model.step(event)
        value = encode_prediction(prediction)
        return model, KafkaSinkMessage(prediction.asset.encode(), value)

    keyed: op.KeyedStream[Mapping[str, object]] = op.map("key", source, key_by_asset)
    return op.key_rm("unkey", op.stateful_map("predict", keyed, step))


def main(options: Options) -> None:
    """Process the source to its end."""
    brokers = [options.bootstrap]
    flow = Dataflow(options.group.replace(".", "_"))
    source = op.input("source", flow, KafkaSource(brokers, [options.source], tail=False))
    recovery = None
    if options.mode == "recovery":
        options.state.mkdir(parents=True)
        init_db_dir(options.state, 1)
        recovery = RecoveryConfig(str(options.state))
    predict = predict_in_memory if recovery is None else predict_in_state
    op.output("sink", predict(source), KafkaSink(brokers, options.sink))
    cli_main(flow, epoch_interval=EPOCH, recovery_config=recovery)


if __name__ == "__main__":
    main(read_options())
