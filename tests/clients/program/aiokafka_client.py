"""aiokafka: everything runs on one event loop in a thread of its own, and the checks wait for it."""

import asyncio
import threading
import time
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from clients.program import checks
from clients.program.client import Client, Group, Member, Outgoing, Producer, Record, Refused
from clients.program.report import Settings, Skip

DEADLINE_S = 30.0

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def call(work: Coroutine) -> Any:
    """Waits for work on the event loop; the library's errors become refusals."""
    try:
        return asyncio.run_coroutine_threadsafe(work, _loop).result(DEADLINE_S)
    except KafkaError as error:
        raise refused(error) from None


def refused(error: KafkaError) -> Refused:
    # Numbers below zero are the library's own.
    code = getattr(error, "errno", None)
    return Refused(code if code is not None and code > 0 else None, f"{type(error).__name__}: {error}")


def raise_code(code: int, message: str | None = None) -> None:
    if code:
        raise Refused(code, f"{for_code(code).__name__}: {message}")


def record(found) -> Record:
    return Record(found.partition, found.offset, found.timestamp, found.key, found.value, list(found.headers))


async def _made(kind: type, *arguments, **config) -> Any:
    # The library's classes find the loop they are made on.
    made = kind(*arguments, bootstrap_servers=Settings.bootstrap, **config)
    await made.start()
    return made


class LibraryProducer(Producer):
    def __init__(self, **config):
        self._producer = call(_made(AIOKafkaProducer, request_timeout_ms=15_000, **config))

    def send(self, topic: str, records: Sequence[Outgoing]) -> list[int]:
        return call(self._send(topic, records))

    def close(self) -> None:
        call(self._producer.stop())

    def transaction(self, topic: str, values: Sequence[bytes], commit: bool) -> None:
        call(self._producer.begin_transaction())
        self.send(topic, [Outgoing(value) for value in values])
        call(self._producer.commit_transaction() if commit else self._producer.abort_transaction())

    async def _send(self, topic: str, records: Sequence[Outgoing]) -> list[int]:
        futures = [
            await self._producer.send(
                topic,
                value=one.value,
                key=one.key,
                partition=one.partition,
                timestamp_ms=one.timestamp_ms,
                headers=one.headers or [],
            )
            for one in records
        ]
        return [found.offset for found in await asyncio.gather(*futures)]


class LibraryMember(Member):
    def __init__(self, topic: str, **config):
        self._consumer = call(
            _made(AIOKafkaConsumer, topic, auto_offset_reset="earliest", enable_auto_commit=False, **config)
        )

    def poll(self, seconds: float) -> list[Record]:
        polled = call(self._consumer.getmany(timeout_ms=int(seconds * 1_000)))
        return [record(one) for part in polled.values() for one in part]

    def assignment(self) -> set[int]:
        return {one.partition for one in self._consumer.assignment()}

    def commit(self) -> None:
        call(self._consumer.commit())

    def close(self) -> None:
        call(self._consumer.stop())


class AioKafka(Client):
    name = "aiokafka"
    version = aiokafka.__version__

    def __init__(self):
        self._library_admin: AIOKafkaAdminClient | None = None

    @property
    def _admin(self) -> AIOKafkaAdminClient:
        if self._library_admin is None:
            self._library_admin = call(_made(AIOKafkaAdminClient))
        return self._library_admin

    def create_topic(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=config or {})
        for _topic, code, *more in call(self._admin.create_topics([new])).topic_errors:
            raise_code(code, *more[:1])

    def delete_topic(self, topic: str) -> None:
        for _topic, code, *_more in call(self._admin.delete_topics([topic])).topic_error_codes:
            raise_code(code)

    def producer(self, compression: str = "none", idempotent: bool = False, largest: int = 1 << 20) -> Producer:
        codec = None if compression == "none" else compression
        return LibraryProducer(compression_type=codec, enable_idempotence=idempotent, max_request_size=largest)

    def read(self, topic: str, starts: dict[int, int], count: int) -> list[Record]:
        return self._read(topic, starts, count)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        asked = TopicPartition(topic, partition)
        found = self._ask(lambda reader: reader.offsets_for_times({asked: timestamp_ms}))[asked]
        return None if found is None else found.offset

    def offsets(self, topic: str, partition: int) -> tuple[int, int]:
        asked = TopicPartition(topic, partition)
        first = self._ask(lambda reader: reader.beginning_offsets([asked]))
        return first[asked], self._ask(lambda reader: reader.end_offsets([asked]))[asked]

    def partitions(self, topic: str) -> list[int]:
        (found,) = call(self._admin.describe_topics([topic]))
        raise_code(found["error_code"])
        return [one["partition"] for one in found["partitions"]]

    def member(
        self, group: str, topic: str, instance: str | None = None, protocol: str = "classic", session_ms: int = 10_000
    ) -> Member:
        if instance is not None:
            raise Skip(
                "aiokafka joins with an instance id but keeps it out of heartbeats and commits: nobody fences it"
            )
        config = {"group_id": group, "session_timeout_ms": session_ms, "heartbeat_interval_ms": 1_000}
        return LibraryMember(topic, **config)

    def topic_config(self, topic: str) -> dict[str, str]:
        asked = ConfigResource(ConfigResourceType.TOPIC, topic)
        (response,) = call(self._admin.describe_configs([asked]))
        ((code, message, _kind, _name, entries, *_more),) = response.resources
        raise_code(code, message)
        return {entry[0]: entry[1] for entry in entries}

    def alter_topic_config(self, topic: str, config: dict[str, str]) -> None:
        # The older request replaces everything that was set, so what the topic was made with goes along.
        kept = {"cleanup.policy": self.topic_config(topic)["cleanup.policy"]}
        asked = ConfigResource(ConfigResourceType.TOPIC, topic, configs=kept | config)
        for response in call(self._admin.alter_configs([asked])):
            for code, message, *_more in response.resources:
                raise_code(code, message)

    def create_partitions(self, topic: str, total: int) -> None:
        call(self._admin.create_partitions({topic: NewPartitions(total)}))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        call(self._admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before)}))

    def groups(self) -> set[str]:
        return {group for group, *_more in call(self._admin.list_consumer_groups())}

    def describe_group(self, group: str) -> Group:
        (response,) = call(self._admin.describe_consumer_groups([group]))
        ((code, _group, state, _kind, _protocol, members, *_more),) = response.groups
        raise_code(code)
        return Group(state.lower(), len(members))

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        asked = TopicPartition(topic, partition)
        return call(self._admin.list_consumer_group_offsets(group, partitions=[asked]))[asked].offset

    def produce_outdated(self, topic: str) -> None:
        raise Skip("aiokafka always asks for the broker's versions and keeps to them")

    def transaction(self, topic: str, values: Sequence[bytes], commit: bool) -> None:
        producer = LibraryProducer(transactional_id=f"{Settings.prefix}transactions")
        try:
            producer.transaction(topic, values, commit)
        finally:
            producer.close()

    def read_committed(self, topic: str, count: int) -> list[Record]:
        return self._read(topic, {0: 0}, count, isolation_level="read_committed")

    def _read(self, topic: str, starts: dict[int, int], count: int, **config) -> list[Record]:
        found: list[Record] = []
        end = time.monotonic() + DEADLINE_S
        reader = self._reader(**config)
        try:
            assigned = {p: TopicPartition(topic, p) for p in starts}
            _loop.call_soon_threadsafe(reader.assign, list(assigned.values()))
            for partition, start in starts.items():
                _loop.call_soon_threadsafe(reader.seek, assigned[partition], start)
            while len(found) < count:
                assert time.monotonic() < end, f"{len(found)} of {count} records within {DEADLINE_S:g} s"
                polled = call(reader.getmany(timeout_ms=200))
                found += [record(one) for part in polled.values() for one in part]
        finally:
            call(reader.stop())
        return found[:count]

    def _ask(self, question) -> Any:
        reader = self._reader()
        try:
            return call(question(reader))
        finally:
            call(reader.stop())

    def _reader(self, **config) -> AIOKafkaConsumer:
        group = f"{Settings.prefix}never-joined-{uuid.uuid4().hex}"
        base = {"group_id": group, "enable_auto_commit": False, "auto_offset_reset": "none"}
        return call(_made(AIOKafkaConsumer, **base, **config))


if __name__ == "__main__":
    checks.run(AioKafka())
