"""How long a broker takes to be ready again after SIGKILL, with much data in many partitions.

    target/venv/bin/python tests/bench/recovery.py [--gigabytes 10] [--partitions 1000] [--starts 3]

Fills a broker with records of 100,000 bytes through librdkafka, kills it while the last ones are on their way, and
starts it again on the same directory: several times, as the first start replays what the journal has and later ones
find little.
Every acknowledged record must be inside its partition's offsets afterwards. Prints one line of JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clients.harness import ChronikBroker
from clients.reading import create_topic

RECORD_BYTES = 100_000
FILL_DEADLINE_S = 900


def fill(broker, topic: str, gigabytes: float, partitions: int) -> dict[int, int]:
    """Sends the records and returns the highest acknowledged offset of each partition."""
    highest: dict[int, int] = {}

    def acknowledged(error, message):
        if error is None:
            highest[message.partition()] = max(message.offset(), highest.get(message.partition(), -1))

    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    value = os.urandom(RECORD_BYTES)
    deadline = time.monotonic() + FILL_DEADLINE_S
    count = int(gigabytes * 1e9 / RECORD_BYTES)
    for number in range(count):
        while True:
            try:
                producer.produce(topic, value, partition=number % partitions, on_delivery=acknowledged)
                break
            except BufferError:
                assert time.monotonic() < deadline, "the broker does not keep up"
                producer.poll(0.01)
        producer.poll(0)
    # The last second's worth is still in flight when the broker dies.
    broker.kill9()
    producer.purge()
    producer.flush(5)
    return highest


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--gigabytes", type=float, default=10)
    arguments.add_argument("--partitions", type=int, default=1000)
    arguments.add_argument("--starts", type=int, default=3)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as directory:
        broker = ChronikBroker(Path(directory))
        broker.start()
        create_topic(broker.bootstrap, "fill", options.partitions)
        began = time.monotonic()
        highest = fill(broker, "fill", options.gigabytes, options.partitions)
        filled = time.monotonic() - began
        starts = []
        for _ in range(options.starts):
            starts.append(round(broker.start(), 3))
            consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"})
            for partition, offset in highest.items():
                _, end = consumer.get_watermark_offsets(TopicPartition("fill", partition), timeout=30)
                assert end > offset, f"partition {partition} ends at {end}, {offset} was acknowledged"
            consumer.close()
            broker.kill9()
        print(
            json.dumps(
                {
                    "gigabytes": options.gigabytes,
                    "partitions": options.partitions,
                    "fill_seconds": round(filled, 1),
                    "acknowledged_partitions": len(highest),
                    "start_seconds": starts,
                }
            )
        )


if __name__ == "__main__":
    main()
