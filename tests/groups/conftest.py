"""Fixtures of the group suites."""

from collections.abc import Iterator

import pytest

from clients import harness
from clients.harness import Broker


@pytest.fixture(scope="module")
def eager_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One ready broker per test file whose groups do not wait for more members when the first one joins."""
    root = tmp_path_factory.mktemp("broker")
    broker = harness.make_broker(root, properties={"group.initial.rebalance.delay.ms": "0"})
    broker.start()
    try:
        yield broker
        broker.close()
    finally:
        if broker.process is not None:
            broker.kill9()
