"""Fixtures of the group suites."""

from collections.abc import Iterator

import pytest

from clients import harness
from clients.harness import Broker
from clients.serving import scratch, serve


@pytest.fixture(scope="module")
def eager_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One ready broker per test file whose groups do not wait for more members when the first one joins."""
    with scratch(request.session, tmp_path_factory, "broker") as root:
        yield from serve(
            request.config, harness.make_broker(root, properties={"group.initial.rebalance.delay.ms": "0"})
        )
