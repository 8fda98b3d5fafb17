"""Fixtures and rules common to all suites."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from clients import harness
from clients.harness import Broker
from clients.serving import RUNNING, scratch, serve
from clients.tools import require_tool

BrokerFactory = Callable[..., Broker]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RUNNING] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    foreign = harness.PEER != "chronik" or harness.BOOTSTRAP
    for item in items:
        if foreign and item.get_closest_marker("chronik_only"):
            item.add_marker(pytest.mark.skip(reason="about Chronik's own command line, files or endpoints"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A failure shows what the brokers said last."""
    report = yield
    if report.failed:
        for broker in item.config.stash[RUNNING]:
            report.sections.append((f"broker {broker.bootstrap} ({broker.log_path})", broker.tail()))
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """What the passed tests measured, one line each."""
    for report in terminalreporter.stats.get("passed", []):
        for name, figure in report.user_properties:
            if report.when == "call":
                terminalreporter.write_line(f"{name}: {figure}")


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One ready broker with an empty data directory per test file; tests use topics of their own."""
    with scratch(request.session, tmp_path_factory, "broker") as root:
        yield from serve(request.config, harness.make_broker(root))


@pytest.fixture
def new_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerFactory]:
    """Makes brokers for one test, each with an empty data directory, that the test may stop, kill and restart.

    They are not started; keyword arguments go to `make_broker`. Whatever still runs must stop gracefully at the end.
    """
    made: list[Broker] = []
    running = request.config.stash[RUNNING]
    with scratch(request.session, tmp_path_factory, "brokers") as root:

        def factory(**kwargs) -> Broker:
            own = root / str(len(made))
            own.mkdir()
            made.append(harness.make_broker(own, owned=True, **kwargs))
            running.append(made[-1])
            return made[-1]

        yield factory
        try:
            for one in made:
                one.close()
        finally:
            for one in made:
                running.remove(one)
                if one.process is not None:
                    one.kill9()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name that was never used before."""
    return f"{request.node.originalname[:60].replace('_', '-')}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def kcat() -> str:
    """The path of kcat."""
    return require_tool("kcat")
