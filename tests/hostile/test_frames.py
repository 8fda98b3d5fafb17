"""Random and damaged frames of every API and version, over real sockets."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from good_client import good_client, quiet_p99_ms
from watching import assert_patient, assert_unharmed

from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

# The long run sets CHRONIK_FRAMES.
FRAMES = int(os.environ.get("CHRONIK_FRAMES", "60000"))
PROCESSES = 3
THREADS = 4
SENDERS_DEADLINE_S = 60 + FRAMES / 200
QUIET_S = 3.0
BUDGET_MIB = 128
# What the driver's requests name; one of them has every batch decompressed.
TOPICS = {"orders": {}, "ledger": {"compression.type": "uncompressed", "cleanup.policy": "compact"}}


def test_damaged_frames_of_every_api_harm_nobody(new_broker, topic: str, driver: Path, record_property):
    broker = new_broker(properties={"auto.create.topics.enable": "false"})
    broker.start()
    create_topic(broker.bootstrap, topic)
    for name, config in TOPICS.items():
        create_topic(broker.bootstrap, name, 2, config)
    before = quiet_p99_ms(broker.port, topic, QUIET_S)

    with good_client(broker.port, topic) as client:
        sent = fire(driver, broker.bootstrap)

    assert sent["frames"] >= FRAMES - PROCESSES * THREADS
    # An answer or a closed connection for most of what was sent: the server did look at it.
    assert sent["bytes back"] + sent["closed"] > sent["frames"] // 4
    record_property("hostile frames", f"{sent}")
    record_property("a good client", assert_patient(before, client))
    record_property("peak memory", f"{assert_unharmed(broker, BUDGET_MIB):.0f} MiB")
    broker.restart()


def fire(driver: Path, address: str) -> dict[str, int]:
    """Sends all frames from several processes, and adds up what they report."""
    command = [driver, "--address", address, "--threads", str(THREADS), "--frames", str(FRAMES // PROCESSES)]
    senders = [
        subprocess.Popen([*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(PROCESSES)
    ]
    total = {"frames": 0, "connections": 0, "closed": 0, "bytes back": 0}
    try:
        for sender in senders:
            said, _ = sender.communicate(timeout=SENDERS_DEADLINE_S)
            assert sender.returncode == 0, said
            numbers = [int(number) for number in re.findall(r"\d+", said)]
            for name, number in zip(total, numbers):
                total[name] += number
    finally:
        for sender in senders:
            sender.kill()
    return total
