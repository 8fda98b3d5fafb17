"""kafka-python 2.0: it guesses the broker's version and keeps to the requests of 2.5 and older."""

import kafka
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions

from clients.program import checks
from clients.program.client import Client, Group, Producer, Record, Refused
from clients.program.kafka_python import KafkaPython, admin
from clients.program.report import Skip


class KafkaPythonOld(KafkaPython):
    def producer(self, compression: str = "none", idempotent: bool = False, largest: int = 1 << 20) -> Producer:
        if idempotent:
            raise Skip(f"kafka-python {kafka.__version__} has no idempotent producer")
        return super().producer(compression, idempotent, largest)

    def topic_config(self, topic: str) -> dict[str, str]:
        asked = ConfigResource(ConfigResourceType.TOPIC, topic)
        (response,) = admin(lambda to: to.describe_configs([asked]))
        ((code, message, _kind, _name, entries),) = response.resources
        self._raise_code(code, message)
        return {entry[0]: entry[1] for entry in entries}

    def alter_topic_config(self, topic: str, config: dict[str, str]) -> None:
        # The older request replaces everything that was set, so what the topic was made with goes along.
        kept = {"cleanup.policy": self.topic_config(topic)["cleanup.policy"]}
        asked = ConfigResource(ConfigResourceType.TOPIC, topic, configs=kept | config)
        response = admin(lambda to: to.alter_configs([asked]))
        ((code, message, _kind, _name),) = response.resources
        self._raise_code(code, message)

    def create_partitions(self, topic: str, total: int) -> None:
        admin(lambda to: to.create_partitions({topic: NewPartitions(total)}))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        Client.delete_records(self, topic, partition, before)

    def groups(self) -> set[str]:
        return {group for group, _protocol in admin(lambda to: to.list_consumer_groups())}

    def describe_group(self, group: str) -> Group:
        (found,) = admin(lambda to: to.describe_consumer_groups([group]))
        return Group(found.state.lower(), len(found.members))

    def delete_group(self, group: str) -> None:
        ((_group, kind),) = admin(lambda to: to.delete_consumer_groups([group]))
        self._raise_code(kind.errno, "")

    def transaction(self, topic: str, values, commit: bool) -> None:
        Client.transaction(self, topic, values, commit)

    def read_committed(self, topic: str, count: int) -> list[Record]:
        return Client.read_committed(self, topic, count)

    def _idempotence(self, wanted: bool) -> dict:
        return {}

    def _static(self, instance: str | None) -> dict:
        if instance is not None:
            raise Skip(f"kafka-python {kafka.__version__} has no static members")
        return {}

    def _raise_code(self, code: int, message: str | None) -> None:
        if code:
            raise Refused(code, f"{kafka_errors.for_code(code).__name__}: {message}")


if __name__ == "__main__":
    checks.run(KafkaPythonOld())
