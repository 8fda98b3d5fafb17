"""Chronik beside the least that a durable server can do, on the same machine and at the same time: ratios, no speeds.

`chronik-reference` (tools/reference) receives, journals and answers, and does nothing else.
"""

import os
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from benching import measured

from clients.deadline import wait_until
from clients.harness import REPOSITORY, Broker, die_with_parent
from clients.metrics import scrape
from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

PAIRS = 5
START_DEADLINE_S = 30.0
# Commits for 1,000 records of 128 connections: about 10 when all of them wait, more when the machine stalls clients.
COMMITS_PER_1000 = 100


@dataclass(frozen=True)
class Load:
    """What both servers are given."""

    arguments: list[str | int]
    # Of the reference's speed, at least: half of what was reached on a busy machine when this was set.
    floor: float


LOADS = {
    "128 connections": Load(["-c", 128], 0.4),
    "8 connections, 64 in flight on each": Load(["--connections", 8, "--pipeline", 64], 0.2),
    "batches of 64 KiB": Load(["--connections", 4, "--pipeline", 4, "--batch-size", 65_536], 0.2),
}


@dataclass(frozen=True)
class Reference:
    """A reference server that runs."""

    bootstrap: str


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    program = Path(os.environ.get("CHRONIK_REFERENCE", REPOSITORY / "target/release/chronik-reference"))
    if not program.is_file():
        raise FileNotFoundError(f"{program} is missing; run: cargo build --release -p chronik-reference")
    root = tmp_path_factory.mktemp("reference")
    printed = root / "out"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [str(program), "--journal", str(root / "journal")], stdout=out, preexec_fn=die_with_parent
        )
    try:
        wait_until("the reference server to listen", START_DEADLINE_S, lambda: "listening" in printed.read_text())
        yield Reference(printed.read_text().split()[-1])
    finally:
        process.kill()
        process.wait()


def rate(folder: Path, bootstrap: str, topic: str, load: Load) -> float:
    arguments = ["--driver", "native", "--topic", topic, "--warmup", "500ms", "-d", "1s"]
    return measured(folder, "-b", bootstrap, *arguments, *load.arguments)["results"]["records_per_s"]


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
def test_a_fair_share_of_the_least_server(
    broker: Broker, reference: Reference, topic: str, tmp_path, record_property, request, load: Load
):
    create_topic(broker.bootstrap, topic)

    def pair() -> float:
        return rate(tmp_path, broker.bootstrap, topic, load) / rate(tmp_path, reference.bootstrap, topic, load)

    ratios = sorted(pair() for _ in range(PAIRS))
    median = statistics.median(ratios)
    record_property(
        f"of the reference, {request.node.callspec.id}", f"{median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )
    assert median >= load.floor, f"pairs: {ratios}"


def test_connections_share_their_commits(broker: Broker, topic: str, tmp_path, record_property):
    before = commits(broker)
    arguments = ["--driver", "native", "--create-topic", "--topic", topic, "--message-count", 50_000, "-c", 128]
    records = measured(tmp_path, "-b", broker.bootstrap, *arguments)["results"]["records"]
    each = (commits(broker) - before) / records * 1_000
    record_property("commits for 1,000 records of 128 connections", f"{each:.1f}")
    assert each <= COMMITS_PER_1000


def commits(broker: Broker) -> float:
    return scrape(broker)["chronik_journal_commit_records_count"]
