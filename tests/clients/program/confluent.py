"""confluent-kafka, so librdkafka: the present version and, in another suite, the one of Debian 12."""

import time
import uuid
from collections.abc import Callable, Sequence

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import admin as kafka_admin

from clients.program import checks
from clients.program.client import Client, Group, Member, Outgoing, Producer, Record, Refused
from clients.program.report import Settings, Skip

DEADLINE_S = 30.0
READ_DEADLINE_S = 30.0
OUTDATED_DEADLINE_S = 10.0
LIBRARY = tuple(int(part) for part in confluent_kafka.libversion()[0].split(".")[:2])
# Before this version the protocol of KIP-848 was a preview that spoke another draft.
CONSUMER_PROTOCOL_SINCE = (2, 12)


def refused(error: KafkaError) -> Refused:
    # Numbers below zero are the library's own.
    code = error.code()
    return Refused(code if code > 0 else None, f"{error.name()}: {error.str()}")


def waited(future):
    """The result of an admin call."""
    try:
        return future.result(DEADLINE_S)
    except KafkaException as failure:
        raise refused(failure.args[0]) from None


def config(**more) -> dict:
    return {"bootstrap.servers": Settings.bootstrap} | {key.replace("_", "."): value for key, value in more.items()}


def record(message: confluent_kafka.Message) -> Record:
    _kind, timestamp = message.timestamp()
    headers = message.headers() or []
    return Record(message.partition(), message.offset(), timestamp, message.key(), message.value(), headers)


class ConfluentProducer(Producer):
    def __init__(self, **more):
        self.library = confluent_kafka.Producer(config(linger_ms=5, message_timeout_ms=30_000, **more))

    def send(self, topic: str, records: Sequence[Outgoing]) -> list[int]:
        delivered: list[tuple[KafkaError | None, int]] = []
        for one in records:
            timestamp = {} if one.timestamp_ms is None else {"timestamp": one.timestamp_ms}
            self.library.produce(
                topic,
                one.value,
                one.key,
                one.partition,
                headers=one.headers or [],
                on_delivery=lambda error, message: delivered.append((error, message.offset())),
                **timestamp,
            )
        left = self.library.flush(DEADLINE_S + 5)
        for error, _ in delivered:
            if error is not None:
                raise refused(error)
        assert left == 0 and len(delivered) == len(records), f"{left} records were neither acknowledged nor refused"
        return [offset for _, offset in delivered]

    def close(self) -> None:
        self.library.flush(1)


class ConfluentMember(Member):
    def __init__(self, topic: str, **more):
        self._errors: list[KafkaError] = []
        base = config(auto_offset_reset="earliest", enable_auto_commit=False, error_cb=self._errors.append)
        # The callback's name has an underscore, unlike the settings.
        base["error_cb"] = base.pop("error.cb")
        self._consumer = Consumer(base | more)
        self._consumer.subscribe([topic])

    def poll(self, seconds: float) -> list[Record]:
        polled = self._consumer.consume(500, seconds)
        found = [one for one in polled if one.error() is None]
        for error in [*self._errors, *(one.error() for one in polled if one.error() is not None)]:
            if error.fatal() or error.code() == KafkaError._FATAL:
                raise self._fatal(error)
        return [record(one) for one in found]

    def assignment(self) -> set[int]:
        return {one.partition for one in self._consumer.assignment()}

    def commit(self) -> None:
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as failure:
            raise refused(failure.args[0]) from None

    def close(self) -> None:
        self._consumer.close()

    def _fatal(self, error: KafkaError) -> Refused:
        # The fatal error itself has the library's number; what it wraps is told in its text.
        for name in ("FENCED_INSTANCE_ID", "UNRELEASED_INSTANCE_ID", "FENCED_MEMBER_EPOCH"):
            code = getattr(KafkaError, name, None)
            if code is not None and (error.code() == code or _phrase(code) in error.str()):
                return Refused(code, error.str())
        return refused(error)


def _phrase(code: int) -> str:
    return KafkaError(code).str()


class Confluent(Client):
    name = "confluent-kafka"
    version = f"{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})"
    consumer_protocol = LIBRARY >= CONSUMER_PROTOCOL_SINCE

    def __init__(self):
        self._admin = kafka_admin.AdminClient(config())

    def create_topic(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        new = kafka_admin.NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config or {})
        waited(self._admin.create_topics([new])[topic])

    def delete_topic(self, topic: str) -> None:
        waited(self._admin.delete_topics([topic])[topic])

    def producer(self, compression: str = "none", idempotent: bool = False, largest: int = 1 << 20) -> Producer:
        return ConfluentProducer(
            compression_type=compression, enable_idempotence=idempotent, message_max_bytes=max(largest, 1_000_000)
        )

    def read(self, topic: str, starts: dict[int, int], count: int) -> list[Record]:
        return self._read(topic, starts, count)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        reader = self._reader()
        try:
            asked = TopicPartition(topic, partition, timestamp_ms)
            (found,) = _call(lambda: reader.offsets_for_times([asked], DEADLINE_S))
        finally:
            reader.close()
        if found.error is not None:
            raise refused(found.error)
        return found.offset if found.offset >= 0 else None

    def offsets(self, topic: str, partition: int) -> tuple[int, int]:
        reader = self._reader()
        try:
            return _call(lambda: reader.get_watermark_offsets(TopicPartition(topic, partition), DEADLINE_S))
        finally:
            reader.close()

    def partitions(self, topic: str) -> list[int]:
        found = self._admin.list_topics(topic, timeout=DEADLINE_S).topics[topic]
        if found.error is not None:
            raise refused(found.error)
        return list(found.partitions)

    def member(
        self, group: str, topic: str, instance: str | None = None, protocol: str = "classic", session_ms: int = 10_000
    ) -> Member:
        more: dict = {"group.id": group}
        if instance is not None:
            more["group.instance.id"] = instance
        if protocol == "consumer":
            more["group.protocol"] = "consumer"
        else:
            more["session.timeout.ms"] = session_ms
        return ConfluentMember(topic, **more)

    def topic_config(self, topic: str) -> dict[str, str]:
        return {name: entry.value for name, entry in self._config_entries(topic).items()}

    def alter_topic_config(self, topic: str, config: dict[str, str]) -> None:
        kind = kafka_admin.ConfigResource.Type.TOPIC
        if hasattr(self._admin, "incremental_alter_configs"):
            operation = kafka_admin.AlterConfigOpType.SET
            entries = [kafka_admin.ConfigEntry(*one, incremental_operation=operation) for one in config.items()]
            resource = kafka_admin.ConfigResource(kind, topic, incremental_configs=entries)
            waited(self._admin.incremental_alter_configs([resource])[resource])
            return
        # The older request replaces everything that was set.
        kept = {name: entry.value for name, entry in self._config_entries(topic).items() if not entry.is_default}
        resource = kafka_admin.ConfigResource(kind, topic, set_config=kept | config)
        waited(self._admin.alter_configs([resource])[resource])

    def create_partitions(self, topic: str, total: int) -> None:
        waited(self._admin.create_partitions([kafka_admin.NewPartitions(topic, total)])[topic])

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        if not hasattr(self._admin, "delete_records"):
            raise Skip(f"confluent-kafka {confluent_kafka.__version__} does not delete records")
        asked = TopicPartition(topic, partition, before)
        waited(self._admin.delete_records([asked])[asked])

    def groups(self) -> set[str]:
        return {one.group_id for one in waited(self._admin.list_consumer_groups()).valid}

    def describe_group(self, group: str) -> Group:
        found = waited(self._admin.describe_consumer_groups([group])[group])
        return Group(found.state.name.lower(), len(found.members))

    def delete_group(self, group: str) -> None:
        waited(self._admin.delete_consumer_groups([group])[group])

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        asked = TopicPartition(topic, partition)
        reader = Consumer(config(group_id=group))
        try:
            (found,) = reader.committed([asked], DEADLINE_S)
        finally:
            reader.close()
        return found.offset if found.offset >= 0 else None

    def produce_outdated(self, topic: str) -> None:
        # Without the broker's table of versions the library writes the message format of the version it is told.
        outdated = confluent_kafka.Producer(
            config(api_version_request=False, broker_version_fallback="0.9.0.1")
            | {"message.timeout.ms": int(OUTDATED_DEADLINE_S * 1_000 / 2)}
        )
        outcome: list[KafkaError | None] = []
        outdated.produce(topic, b"outdated", partition=0, on_delivery=lambda error, _: outcome.append(error))
        outdated.flush(OUTDATED_DEADLINE_S)
        assert outcome, "a record in an outdated format was neither taken nor refused"
        if outcome[0] is not None:
            raise refused(outcome[0])

    def transaction(self, topic: str, values: Sequence[bytes], commit: bool) -> None:
        producer = confluent_kafka.Producer(config(transactional_id=f"{Settings.prefix}transactions"))
        _call(lambda: producer.init_transactions(DEADLINE_S / 2))
        _call(producer.begin_transaction)
        for value in values:
            producer.produce(topic, value, partition=0)
        producer.flush(DEADLINE_S)
        _call(lambda: (producer.commit_transaction if commit else producer.abort_transaction)(DEADLINE_S))

    def read_committed(self, topic: str, count: int) -> list[Record]:
        return self._read(topic, {0: 0}, count, isolation_level="read_committed")

    def _read(self, topic: str, starts: dict[int, int], count: int, **more) -> list[Record]:
        reader = self._reader(**more)
        found: list[Record] = []
        end = time.monotonic() + READ_DEADLINE_S
        try:
            reader.assign([TopicPartition(topic, p, offset or OFFSET_BEGINNING) for p, offset in starts.items()])
            while len(found) < count:
                assert time.monotonic() < end, f"{len(found)} of {count} records within {READ_DEADLINE_S:g} s"
                for one in reader.consume(count - len(found), 0.2):
                    if one.error() is not None:
                        raise refused(one.error())
                    found.append(record(one))
        finally:
            reader.close()
        return found

    def _reader(self, **more) -> Consumer:
        group = f"{Settings.prefix}never-joined-{uuid.uuid4().hex}"
        return Consumer(config(group_id=group, enable_auto_commit=False, auto_offset_reset="error", **more))

    def _config_entries(self, topic: str) -> dict[str, kafka_admin.ConfigEntry]:
        resource = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, topic)
        return waited(self._admin.describe_configs([resource])[resource])


def _call(action: Callable):
    try:
        return action()
    except KafkaException as failure:
        raise refused(failure.args[0]) from None


if __name__ == "__main__":
    checks.run(Confluent())
