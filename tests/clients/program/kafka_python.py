"""kafka-python, the present version. What its older versions do otherwise is in kafka_python_old.py."""

import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError

from clients.program import checks
from clients.program.client import Client, Group, Member, Outgoing, Producer, Record, Refused
from clients.program.report import Settings

DEADLINE_S = 30.0
OUTDATED_DEADLINE_MS = 10_000


def refused(error: KafkaError) -> Refused:
    # Numbers below zero are the library's own.
    code = getattr(error, "errno", None)
    return Refused(code if code is not None and code > 0 else None, f"{type(error).__name__}: {error}")


def refusing(action: Callable):
    """Calls the library; its errors become refusals."""
    try:
        return action()
    except KafkaError as error:
        raise refused(error) from None


def admin(action: Callable):
    """Calls a new admin client: an old one would first refuse to work after a restart of its broker."""
    with closing(refusing(lambda: KafkaAdminClient(**config()))) as to:
        return refusing(lambda: action(to))


def config(**more) -> dict:
    return {"bootstrap_servers": Settings.bootstrap} | more


def record(found) -> Record:
    # Since version 3 a header may come as an object; both kinds unpack.
    headers = [(key, value) for key, value in found.headers]
    return Record(found.partition, found.offset, found.timestamp, found.key, found.value, headers)


class LibraryProducer(Producer):
    def __init__(self, **more):
        self.library = refusing(lambda: KafkaProducer(**config(linger_ms=5, retries=100, max_block_ms=15_000, **more)))

    def send(self, topic: str, records: Sequence[Outgoing]) -> list[int]:
        def send_all() -> list[int]:
            futures = [
                self.library.send(
                    topic,
                    value=one.value,
                    key=one.key,
                    headers=one.headers or [],
                    partition=one.partition,
                    timestamp_ms=one.timestamp_ms,
                )
                for one in records
            ]
            return [future.get(timeout=DEADLINE_S).offset for future in futures]

        return refusing(send_all)

    def close(self) -> None:
        self.library.close(timeout=1)


class LibraryMember(Member):
    def __init__(self, topic: str, **more):
        self._consumer = refusing(
            lambda: KafkaConsumer(topic, **config(auto_offset_reset="earliest", enable_auto_commit=False, **more))
        )

    def poll(self, seconds: float) -> list[Record]:
        polled = refusing(lambda: self._consumer.poll(timeout_ms=int(seconds * 1_000)))
        return [record(one) for part in polled.values() for one in part]

    def assignment(self) -> set[int]:
        return {one.partition for one in self._consumer.assignment()}

    def commit(self) -> None:
        refusing(self._consumer.commit)

    def close(self) -> None:
        self._consumer.close()


class KafkaPython(Client):
    name = "kafka-python"
    version = kafka.__version__

    def create_topic(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=config or {})
        admin(lambda to: to.create_topics([new]))

    def delete_topic(self, topic: str) -> None:
        admin(lambda to: to.delete_topics([topic]))

    def producer(self, compression: str = "none", idempotent: bool = False, largest: int = 1 << 20) -> Producer:
        more = {"compression_type": None if compression == "none" else compression, "max_request_size": largest}
        return LibraryProducer(**more, **self._idempotence(idempotent))

    def read(self, topic: str, starts: dict[int, int], count: int) -> list[Record]:
        return self._read(topic, starts, count)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        asked = TopicPartition(topic, partition)
        with closing(self._reader()) as reader:
            found = refusing(lambda: reader.offsets_for_times({asked: timestamp_ms}))[asked]
        return None if found is None else found.offset

    def offsets(self, topic: str, partition: int) -> tuple[int, int]:
        asked = TopicPartition(topic, partition)
        with closing(self._reader()) as reader:
            first = refusing(lambda: reader.beginning_offsets([asked]))
            return first[asked], refusing(lambda: reader.end_offsets([asked]))[asked]

    def partitions(self, topic: str) -> list[int]:
        (found,) = admin(lambda to: to.describe_topics([topic]))
        if found["error_code"]:
            raise refused(kafka_errors.for_code(found["error_code"])())
        # The key differs between versions.
        return [one.get("partition_index", one.get("partition")) for one in found["partitions"]]

    def member(
        self, group: str, topic: str, instance: str | None = None, protocol: str = "classic", session_ms: int = 10_000
    ) -> Member:
        more = {"group_id": group, "session_timeout_ms": session_ms, "heartbeat_interval_ms": 1_000}
        return LibraryMember(topic, **more, **self._static(instance))

    def topic_config(self, topic: str) -> dict[str, str]:
        asked = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = admin(lambda to: to.describe_configs([asked], config_filter="all"))
        return {name: entry["value"] for name, entry in found["topic"][topic].items()}

    def alter_topic_config(self, topic: str, config: dict[str, str]) -> None:
        asked = ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)
        found = admin(lambda to: to.alter_configs([asked]))
        self._raise_named(found["topic"][topic])

    def create_partitions(self, topic: str, total: int) -> None:
        admin(lambda to: to.create_partitions({topic: total}))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        admin(lambda to: to.delete_records({TopicPartition(topic, partition): before}))

    def groups(self) -> set[str]:
        return {one["group_id"] for one in admin(lambda to: to.list_groups())}

    def describe_group(self, group: str) -> Group:
        found = admin(lambda to: to.describe_groups([group]))[group]
        assert found["error"] is None, f"describe: {found['error']}"
        return Group(found["group_state"].lower(), len(found["members"]))

    def delete_group(self, group: str) -> None:
        self._raise_named(admin(lambda to: to.delete_groups([group]))[group])

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        with closing(KafkaConsumer(**config(group_id=group))) as reader:
            return refusing(lambda: reader.committed(TopicPartition(topic, partition)))

    def produce_outdated(self, topic: str) -> None:
        """As a producer that was told its broker's version, and told wrong."""
        told = config(api_version=(0, 9), retries=0, max_block_ms=5_000, **self._idempotence(False))
        outdated = refusing(lambda: KafkaProducer(**told))
        with closing(outdated):
            future = refusing(lambda: outdated.send(topic, b"outdated", partition=0))
            refusing(lambda: future.get(timeout=OUTDATED_DEADLINE_MS / 1_000))

    def transaction(self, topic: str, values: Sequence[bytes], commit: bool) -> None:
        producer = LibraryProducer(transactional_id=f"{Settings.prefix}transactions")
        with closing(producer):
            refusing(producer.library.init_transactions)
            refusing(producer.library.begin_transaction)
            producer.send(topic, [Outgoing(value) for value in values])
            refusing(producer.library.commit_transaction if commit else producer.library.abort_transaction)

    def read_committed(self, topic: str, count: int) -> list[Record]:
        return self._read(topic, {0: 0}, count, isolation_level="read_committed")

    def _idempotence(self, wanted: bool) -> dict:
        return {"enable_idempotence": wanted}

    def _static(self, instance: str | None) -> dict:
        return {} if instance is None else {"group_instance_id": instance}

    def _raise_named(self, outcome: str) -> None:
        """Raises unless the outcome is OK; else it names the error's class, or starts with its number."""
        if outcome == "OK":
            return
        number = re.match(r"\[Error (\d+)\]", outcome)
        code = int(number[1]) if number else getattr(getattr(kafka_errors, outcome, None), "errno", None)
        raise Refused(code, outcome)

    def _read(self, topic: str, starts: dict[int, int], count: int, **more) -> list[Record]:
        found: list[Record] = []
        end = time.monotonic() + DEADLINE_S
        with closing(self._reader(**more)) as reader:
            assigned = {p: TopicPartition(topic, p) for p in starts}
            reader.assign(list(assigned.values()))
            for partition, start in starts.items():
                reader.seek(assigned[partition], start)
            while len(found) < count:
                assert time.monotonic() < end, f"{len(found)} of {count} records within {DEADLINE_S:g} s"
                polled = refusing(lambda: reader.poll(timeout_ms=200))
                found += [record(one) for part in polled.values() for one in part]
        return found[:count]

    def _reader(self, **more) -> KafkaConsumer:
        group = f"{Settings.prefix}never-joined-{uuid.uuid4().hex}"
        base = {"group_id": group, "enable_auto_commit": False, "auto_offset_reset": "none"}
        return refusing(lambda: KafkaConsumer(**config(**base, **more)))


if __name__ == "__main__":
    checks.run(KafkaPython())
