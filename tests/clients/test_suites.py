"""Every client suite against a fresh broker; every check of a suite is a result of its own here."""

import os

import pytest

from clients import suites
from clients.suites import PASS, SKIP, Outcome, ToolchainMissing
from conftest import BrokerFactory


@pytest.mark.parametrize("suite", suites.names())
def test_suite(
    suite: str,
    outcomes: dict[str, Outcome | str],
    new_broker: BrokerFactory,
    tmp_path_factory: pytest.TempPathFactory,
    subtests: pytest.Subtests,
):
    suites.forget(suite)
    try:
        suites.build(suite)
    except ToolchainMissing as missing:
        outcomes[suite] = str(missing)
        if os.environ.get("CI"):
            pytest.fail(f"CI runs every suite: {missing}")
        pytest.skip(f"toolchain missing: {missing}")

    broker = new_broker(properties=suites.BROKER_PROPERTIES)
    broker.start()
    outcome = suites.run(suite, broker, tmp_path_factory.mktemp(suite))
    outcomes[suite] = outcome
    outcome.save()

    for check in outcome.checks:
        with subtests.test(check.check):
            if check.result == SKIP:
                pytest.skip(f"{suite} {check.check}: {check.detail}")
            assert check.result == PASS, check.detail
    assert not outcome.problem, outcome.problem
