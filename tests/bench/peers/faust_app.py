"""The job as a Faust agent in a Faust worker; the mode is its processing guarantee."""

from __future__ import annotations

import signal

import faust

from bench.peers.job import Job
from bench.peers.options import Options, read_options


def build_app(options: Options) -> faust.App:
    """Return the application, which ends its worker after the events asked for."""
    app = faust.App(
        options.group,
        broker=f"kafka://{options.bootstrap}",
        processing_guarantee=options.mode,
        datadir=options.state,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
    )
    source = app.topic(options.source, key_type=bytes, value_type=bytes, value_serializer="raw")
    sink = app.topic(options.sink, key_type=bytes, value_type=bytes, value_serializer="raw")
    job = Job()

    async def predict(stream: faust.StreamT[bytes]) -> None:
        count = 0
        async for event in stream.events():
            await sink.send(key=event.key, value=job.process(event.value))
            count += 1
            if count == options.events:
                signal.raise_signal(signal.SIGTERM)

    app.agent(source)(predict)
    return app


if __name__ == "__main__":
    # Outside a worker of its own, Faust ignores `exactly_once` without a word.
    faust.Worker(build_app(read_options()), loglevel="warning").execute_from_commandline()
