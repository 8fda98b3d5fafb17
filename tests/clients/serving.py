"""What the fixtures of all suites share: a directory that goes when it is not needed, a broker that must stop."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.harness import Broker

RUNNING: pytest.StashKey[list[Broker]] = pytest.StashKey()


@contextmanager
def scratch(session: pytest.Session, factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A directory that goes at the end, unless a test that used it failed.

    A data directory holds a journal of a gigabyte; pytest by itself keeps those of wider fixtures until the last test.
    """
    root = factory.mktemp(name)
    failed_before = session.testsfailed
    yield root
    if session.testsfailed == failed_before:
        shutil.rmtree(root)


def serve(config: pytest.Config, broker: Broker) -> Iterator[Broker]:
    """Starts the broker for a fixture; at the end it must stop gracefully."""
    config.stash[RUNNING].append(broker)
    try:
        broker.start()
        yield broker
        broker.close()
    finally:
        config.stash[RUNNING].remove(broker)
        if broker.process is not None:
            broker.kill9()
