"""The job as a Quix Streams application; the mode is its processing guarantee."""

from __future__ import annotations

from quixstreams import Application

from bench.peers.job import Job
from bench.peers.options import Options, read_options


def main(options: Options) -> None:
    """Process the events asked for, then end."""
    app = Application(
        broker_address=options.bootstrap,
        consumer_group=options.group,
        auto_offset_reset="earliest",
        processing_guarantee=options.mode,
        state_dir=options.state,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    source = app.topic(options.source, value_deserializer="bytes", key_deserializer="bytes")
    sink = app.topic(options.sink, value_serializer="bytes", key_serializer="bytes")
    job = Job()
    done = 0

    def step(value: bytes) -> bytes:
        nonlocal done
        done += 1
        if done == options.events:
            app.stop()
        return job.process(value)

    app.dataframe(source).apply(step).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main(read_options())
