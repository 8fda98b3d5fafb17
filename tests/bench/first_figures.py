"""Chronik and Kafka on the same machine, in turn, under the same load.

    target/venv/bin/python tests/bench/first_figures.py [--rounds 3] [--seconds 10] [--json FILE] [--only NAME]...

Each round starts every system once, on an empty directory, in the order A B C, A B C, ... so that a slow minute of the
machine hits all of them. Before each workload is measured it runs unmeasured, which a JVM needs more than we do. The
load comes from chronik-bench (CHRONIK_BENCH names another binary than that of the release build), on the same machine.

Kafka appears twice, because it acknowledges from the page cache unless a topic says flush.messages=1; Chronik
acknowledges only what is on disk. Printed is a Markdown table: the median of the rounds and, in brackets, the lowest
and the highest.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clients.harness import REPOSITORY, Broker, ChronikBroker, KafkaBroker
from clients.reading import create_topic

RECORD_BYTES = 256
PARTITIONS = 16
BENCH = Path(os.environ.get("CHRONIK_BENCH", REPOSITORY / "target/release/chronik-bench"))
RUN_DEADLINE_S = 600
READY_DEADLINE_S = 30
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

# Batches of about 1 MB, as a bulk load sends them.
BULK = ["--linger-ms", 100, "--batch-size", 1_000_000, "-c", 1_000_000]


@dataclass(frozen=True)
class System:
    """A broker to measure, and how its topics are created."""

    name: str
    make: Callable[[Path], Broker]
    topic_config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """One row of the table. `run` takes the broker, the topic and whether this is the warm-up."""

    name: str
    run: Callable[[Broker, str, bool], dict]


SYSTEMS = [
    System("Chronik", ChronikBroker),
    System("Kafka flush.messages=1", KafkaBroker, {"flush.messages": "1"}),
    System("Kafka default", KafkaBroker),
]


def main() -> None:
    options = parse()
    chosen = [s for s in SYSTEMS if not options.only or s.name in options.only]
    results: dict[str, dict[str, list[dict]]] = {s.name: {} for s in chosen}
    for round_number in range(1, options.rounds + 1):
        for system in chosen:
            print(f"round {round_number} of {options.rounds}: {system.name}", file=sys.stderr)
            for name, figures in measure(system, workloads(options)).items():
                results[system.name].setdefault(name, []).append(figures)
    if options.json:
        document = {"machine": machine(), "options": vars(options) | {"json": None}, "results": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    print_table(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="length of each closed-loop measurement")
    parser.add_argument("--warmup", type=int, default=15, help="seconds of each closed loop before it is measured")
    parser.add_argument("--records", type=int, default=4_000_000, help="records of the batched workloads")
    parser.add_argument("--only", action="append", choices=[s.name for s in SYSTEMS])
    parser.add_argument("--json", type=Path, help="write every single figure to this file")
    return parser.parse_args()


def workloads(options: argparse.Namespace) -> list[Workload]:
    """The rows, in the order they run. The last one reads what the one before it wrote."""

    def closed_loop(connections: int, window: int) -> Callable[[Broker, str, bool], dict]:
        def run(broker: Broker, topic: str, warming: bool) -> dict:
            seconds = options.warmup if warming else options.seconds
            shape = ["--connections", connections, "--pipeline", window, "-d", f"{seconds}s", "--warmup", 0]
            return load(broker, topic, "--driver", "native", *shape)

        return run

    def bulk_write(broker: Broker, topic: str, warming: bool) -> dict:
        count = options.records // 2 if warming else options.records
        return load(broker, topic, "--message-count", count, *BULK)

    def bulk_read(broker: Broker, topic: str, _warming: bool) -> dict:
        return load(broker, topic, "--mode", "consume", "--message-count", options.records)

    return [
        Workload("1 connection, 1 in flight", closed_loop(1, 1)),
        Workload("128 connections, 1 in flight", closed_loop(128, 1)),
        Workload("16 connections, 16 in flight", closed_loop(16, 16)),
        Workload("batches of 1 MB", bulk_write),
        Workload("read from the start", bulk_read),
    ]


def measure(system: System, rows: list[Workload]) -> dict[str, dict]:
    """One life of a broker: every workload, warmed up and measured."""
    figures: dict[str, dict] = {}
    with tempfile.TemporaryDirectory(prefix="chronik-bench-", dir=os.environ.get("TMPDIR")) as folder:
        broker = system.make(Path(folder))
        ready_s = broker.start()
        try:
            for number, row in enumerate(rows):
                # Reading needs what was written; every other workload has a topic of its own.
                topic = f"bench-{number - 1 if row.name.startswith('read') else number}"
                if topic == f"bench-{number}":
                    create_topic(broker.bootstrap, topic, PARTITIONS, system.topic_config)
                    write_to_every_partition(broker, topic)
                row.run(broker, topic, True)
                figures[row.name] = with_cpu(broker, row, topic)
                print(f"  {row.name}: {figures[row.name]}", file=sys.stderr)
            figures["process"] = {"ready_ms": ready_s * 1_000, "peak_rss_mb": peak_rss_mb(broker.pid)}
            broker.stop()
        finally:
            if broker.process is not None:
                broker.kill9()
    return figures


def write_to_every_partition(broker: Broker, topic: str) -> None:
    """Waits until all partitions are led: the raw client takes no error for an answer."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for partition in range(PARTITIONS):
        producer.produce(topic, b"first", partition=partition)
    if producer.flush(READY_DEADLINE_S) != 0:
        raise TimeoutError(f"{topic} takes no records")


def with_cpu(broker: Broker, row: Workload, topic: str) -> dict:
    """The figures of a workload, and the broker's CPU seconds per million records during it."""
    before = cpu_seconds(broker.pid)
    figures = row.run(broker, topic, False)
    return figures | {"cpu_s_per_million": (cpu_seconds(broker.pid) - before) / figures["records"] * 1e6}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all threads it ever had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def peak_rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def load(broker: Broker, topic: str, *arguments: str | int) -> dict:
    """Runs the load generator and returns its figures."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [str(BENCH), "-b", broker.bootstrap, "--topic", topic, "-s", str(RECORD_BYTES), "--json", result.name]
        command += map(str, arguments)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_DEADLINE_S)
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} exited with {ended.returncode}:\n{ended.stderr[-2_000:]}")
        figures = json.loads(Path(result.name).read_text())["results"]
    latency = figures["latency"] or {}
    percentiles = {name: latency[f"{name}_ms"] for name in ("p50", "p99") if latency}
    return {"records": figures["records"], "records_per_s": figures["records_per_s"]} | percentiles


def machine() -> str:
    """What the figures were measured on, in one line."""
    cpu = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} x {cpu}, {memory_gb:.0f} GB, Linux {platform.release()}"


def print_table(results: dict[str, dict[str, list[dict]]]) -> None:
    print(f"{machine()}; {RECORD_BYTES}-byte records, {PARTITIONS} partitions, acks=all.\n")
    print("| Workload | System | Records/s | p50 ms | p99 ms | Broker CPU s per million |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    names = [name for name in next(iter(results.values())) if name != "process"]
    for name in names:
        for system, rows in results.items():
            rounds = rows[name]
            cells = [spread(rounds, "records_per_s", "{:,.0f}"), spread(rounds, "p50", "{:.2f}")]
            cells += [spread(rounds, "p99", "{:.2f}"), spread(rounds, "cpu_s_per_million", "{:.2f}")]
            print(f"| {name} | {system} | {' | '.join(cells)} |")
    print("\n| System | Ready on an empty directory, ms | Peak memory, MB |")
    print("| --- | ---: | ---: |")
    for system, rows in results.items():
        ready, memory = (spread(rows["process"], key, "{:,.0f}") for key in ("ready_ms", "peak_rss_mb"))
        print(f"| {system} | {ready} | {memory} |")


def spread(rounds: list[dict], key: str, form: str) -> str:
    """Median, lowest and highest of one figure over the rounds."""
    values = [figures[key] for figures in rounds if key in figures]
    if not values:
        return ""
    show = form.format
    return f"{show(statistics.median(values))} ({show(min(values))}-{show(max(values))})"


if __name__ == "__main__":
    main()
