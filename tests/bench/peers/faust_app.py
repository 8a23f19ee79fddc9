"""The job as a Faust agent; the mode is its processing guarantee."""

from __future__ import annotations

import asyncio

import faust

from bench.peers.job import Job
from bench.peers.options import Options, read_options


async def main(options: Options) -> None:
    """Process the events asked for, then end."""
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
    done = asyncio.Event()

    async def predict(stream: faust.Stream[bytes]) -> None:
        count = 0
        async for event in stream.events():
            await sink.send(key=event.key, value=job.process(event.value))
            count += 1
            if count == options.events:
                done.set()

    app.agent(source)(predict)
    await app.start()
    await done.wait()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(main(read_options()))
