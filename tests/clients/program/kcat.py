"""kcat, one process per call: it has no admin requests but answers what the others answer about records and groups.

Topics are made and removed by requests written by hand, so that nothing but kcat and the broker is under test.
"""

import json
import os
import re
import selectors
import signal
import struct
import subprocess
import tempfile
from collections.abc import Sequence

from clients import wire
from clients.deadline import Deadline
from clients.program import checks
from clients.program.client import Client, Headers, Member, Outgoing, Producer, Record, Refused
from clients.program.report import Settings

DEADLINE_S = 30.0
STOP_DEADLINE_S = 15.0
CREATE_TOPICS, DELETE_TOPICS = 19, 20
CREATE_VERSION, DELETE_VERSION = 2, 1
REQUEST_TIMEOUT_MS = 10_000
NOT_LEADER = 6
# kcat says errors in the words of its library.
PHRASES = {
    "Unknown topic or partition": 3,
    "Not leader for partition": 6,
    "Message size too large": 10,
    "Required feature not supported by broker": 35,
    "Transactional Id authorization failed": 53,
    "Static consumer fenced": 82,
}
# The lengths come first and tell null (-1) from empty; the record's bytes follow behind the line.
FORMAT = "%p %o %T %K %S %h\n%k%s\n"
KEY_DELIMITER = "\t"


def refused(text: str) -> Refused:
    code = next((code for phrase, code in PHRASES.items() if phrase in text), None)
    return Refused(code, " ".join(text.split())[-300:])


def kcat(*arguments: str, stdin: bytes = b"") -> bytes:
    """What kcat writes to stdout; an error if it ends with one."""
    command = ["kcat", "-b", Settings.bootstrap, *arguments]
    result = subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE_S)
    said = result.stderr.decode(errors="replace")
    if result.returncode != 0 or "ERROR" in said or "Delivery failed" in said:
        raise refused(said)
    return result.stdout


class KcatProducer(Producer):
    """A producer whose process ends after every call, as kcat's does at the end of its input."""

    def __init__(self, owner: "Kcat", options: list[str]):
        self._owner = owner
        self._options = options

    def send(self, topic: str, records: Sequence[Outgoing]) -> list[int]:
        partition = records[0].partition
        first = self._end(topic, partition)
        if all(_fits_a_line(one) for one in records):
            self._send_lines(topic, partition, records)
        else:
            for one in records:
                self._send_alone(topic, one)
        # kcat does not say where its records went.
        return list(range(first, self._end(topic, partition)))

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _end(self, topic: str, partition: int) -> int:
        try:
            return self._owner.offset_for(topic, partition, -1)
        except Refused as missing:
            if missing.code is None:
                raise
            # A topic that is not there: the producer must find out itself.
            return 0

    def _send_lines(self, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
        lines = b"".join(one.value + b"\n" for one in records)
        kcat("-P", "-t", topic, "-p", str(partition), *self._options, stdin=lines)

    def _send_alone(self, topic: str, one: Outgoing) -> None:
        options = [*self._options, "-t", topic, "-p", str(one.partition)]
        for name, value in one.headers or []:
            options += ["-H", f"{name}={value.decode()}"]
        if one.value is None:
            # -Z turns what is empty into null.
            kcat("-P", "-Z", "-K", KEY_DELIMITER, *options, stdin=(one.key or b"") + KEY_DELIMITER.encode() + b"\n")
            return
        if one.key is not None and not one.value:
            kcat("-P", "-K", KEY_DELIMITER, *options, stdin=one.key + KEY_DELIMITER.encode() + b"\n")
            return
        with tempfile.NamedTemporaryFile() as file:
            file.write(one.value)
            file.flush()
            key = [] if one.key is None else ["-k", one.key.decode()]
            kcat("-P", *options, *key, file.name)


class KcatMember(Member):
    """A `kcat -G` whose output is read as it comes; it commits by itself, also when it gives partitions up."""

    def __init__(self, group: str, topic: str, options: list[str]):
        settings = ["auto.offset.reset=earliest", "auto.commit.interval.ms=100", "heartbeat.interval.ms=1000"]
        arguments = [part for one in (*settings, *options) for part in ("-X", one)]
        self._topic = topic
        self._said = ""
        self._process = subprocess.Popen(
            ["kcat", "-b", Settings.bootstrap, *arguments, "-u", "-f", FORMAT, "-G", group, topic],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._read = {self._process.stdout: bytearray(), self._process.stderr: bytearray()}
        self._selector = selectors.DefaultSelector()
        for pipe in self._read:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ)

    def poll(self, seconds: float) -> list[Record]:
        for ready, _ in self._selector.select(seconds):
            part = ready.fileobj.read(1 << 20)
            if part:
                self._read[ready.fileobj] += part
            elif part == b"":
                self._selector.unregister(ready.fileobj)
        self._said = self._read[self._process.stderr].decode(errors="replace")
        fatal = next((line for line in self._said.splitlines() if "fenced" in line), None)
        if fatal is not None:
            raise refused(fatal)
        if self._process.poll() is not None:
            raise refused(self._said)
        records, rest = parse(self._read[self._process.stdout])
        del self._read[self._process.stdout][: len(self._read[self._process.stdout]) - rest]
        return records

    def assignment(self) -> set[int]:
        rebalances = re.findall(r"rebalanced \(memberid [^)]*\): (assigned|revoked):(.*)", self._said)
        if not rebalances or rebalances[-1][0] == "revoked":
            return set()
        return {int(number) for number in re.findall(re.escape(self._topic) + r" \[(\d+)\]", rebalances[-1][1])}

    def commit(self) -> None:
        """kcat commits what it printed."""

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"kcat did not end within {STOP_DEADLINE_S:g} s of SIGTERM") from None


class Kcat(Client):
    name = "kcat"
    sets_timestamps = False
    binary_headers = False
    aborts_transactions = False

    def __init__(self):
        said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, timeout=DEADLINE_S).stdout
        numbers = re.search(r"Version (\S+) .*librdkafka (\S+)", said)
        self.version = f"{numbers[1]} (librdkafka {numbers[2]})" if numbers else "unknown"

    def provide_topic(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        configs = b"".join(wire.string(name) + wire.string(value) for name, value in (config or {}).items())
        one = wire.string(topic) + struct.pack(">ihii", partitions, 1, 0, len(config or {})) + configs
        body = struct.pack(">i", 1) + one + struct.pack(">ib", REQUEST_TIMEOUT_MS, 0)
        _topic_request(CREATE_TOPICS, CREATE_VERSION, body, topic)

    def remove_topic(self, topic: str) -> None:
        body = struct.pack(">i", 1) + wire.string(topic) + struct.pack(">i", REQUEST_TIMEOUT_MS)
        _topic_request(DELETE_TOPICS, DELETE_VERSION, body, topic)

    def producer(self, compression: str = "none", idempotent: bool = False, largest: int = 1 << 20) -> Producer:
        options = ["-z", compression, "-X", f"enable.idempotence={str(idempotent).lower()}"]
        return KcatProducer(self, [*options, "-X", f"message.max.bytes={max(largest, 1_000_000)}"])

    def read(self, topic: str, starts: dict[int, int], count: int) -> list[Record]:
        return self._read(topic, starts, count)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        found = self.offset_for(topic, partition, timestamp_ms)
        return found if found >= 0 else None

    def offsets(self, topic: str, partition: int) -> tuple[int, int]:
        return self.offset_for(topic, partition, -2), self.offset_for(topic, partition, -1)

    def offset_for(self, topic: str, partition: int, asked: int) -> int:
        """The offset of a time, or of -1 (the end) or -2 (the start)."""
        deadline = Deadline(DEADLINE_S)
        while True:
            try:
                said = kcat("-Q", "-t", f"{topic}:{partition}:{asked}").decode()
            except Refused as refusal:
                # The other clients repeat the question themselves when their broker has just been started.
                if refusal.code != NOT_LEADER or deadline.expired():
                    raise
                continue
            found = re.search(r"offset (-?\d+)", said)
            if found is None:
                raise refused(said)
            return int(found[1])

    def partitions(self, topic: str) -> list[int]:
        (found,) = json.loads(kcat("-L", "-J", "-t", topic))["topics"]
        if "error" in found:
            raise refused(found["error"])
        return [one["partition"] for one in found["partitions"]]

    def member(
        self, group: str, topic: str, instance: str | None = None, protocol: str = "classic", session_ms: int = 10_000
    ) -> Member:
        options = [f"session.timeout.ms={session_ms}"]
        return KcatMember(group, topic, options + ([f"group.instance.id={instance}"] if instance else []))

    def produce_outdated(self, topic: str) -> None:
        told = ["api.version.request=false", "broker.version.fallback=0.9.0.1", "message.timeout.ms=5000"]
        arguments = [part for one in told for part in ("-X", one)]
        kcat("-P", "-t", topic, "-p", "0", *arguments, stdin=b"outdated\n")

    def transaction(self, topic: str, values: Sequence[bytes], commit: bool) -> None:
        identity = ["-X", f"transactional.id={Settings.prefix}transactions"]
        lines = b"".join(value + b"\n" for value in values)
        # The end of the input commits.
        kcat("-P", "-t", topic, "-p", "0", *identity, stdin=lines)

    def read_committed(self, topic: str, count: int) -> list[Record]:
        return self._read(topic, {0: 0}, count, "-X", "isolation.level=read_committed")

    def _read(self, topic: str, starts: dict[int, int], count: int, *more: str) -> list[Record]:
        found: list[Record] = []
        for partition, start in starts.items():
            left = count - len(found)
            where = ["-t", topic, "-p", str(partition), "-o", str(start), "-c", str(left)]
            # The end of the partition ends the call where there are several.
            records, rest = parse(kcat("-C", *where, *(["-e"] if len(starts) > 1 else []), *more, "-f", FORMAT))
            assert rest == 0, f"{rest} bytes behind the last record"
            found += records
        return found


def parse(output: bytes | bytearray) -> tuple[list[Record], int]:
    """The whole records in kcat's output, and how many bytes are left behind them."""
    records: list[Record] = []
    at = 0
    while (line_end := output.find(b"\n", at)) >= 0:
        fields = output[at:line_end].decode().split(" ", 5)
        partition, offset, timestamp, key_length, value_length = map(int, fields[:5])
        key_end = line_end + 1 + max(key_length, 0)
        value_end = key_end + max(value_length, 0)
        if value_end >= len(output):
            break
        key = bytes(output[line_end + 1 : key_end]) if key_length >= 0 else None
        value = bytes(output[key_end:value_end]) if value_length >= 0 else None
        records.append(Record(partition, offset, timestamp, key, value, _headers(fields[5])))
        at = value_end + 1
    return records, len(output) - at


def _headers(text: str) -> Headers:
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return [(name, value.encode()) for name, _, value in pairs]


def _fits_a_line(one: Outgoing) -> bool:
    return one.key is None and not one.headers and bool(one.value) and b"\n" not in one.value


def _topic_request(key: int, version: int, body: bytes, topic: str) -> None:
    with wire.Connection(int(Settings.bootstrap.rsplit(":", 1)[1])) as connection:
        connection.send(key, version, 1, body)
        _, answer = connection.receive()
    # A throttle time, one topic, its name and the error.
    (code,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic))
    if code:
        raise Refused(code, f"request {key} about {topic}")


if __name__ == "__main__":
    checks.run(Kcat())
