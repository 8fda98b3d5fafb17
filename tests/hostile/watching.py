"""What a server under fire must not do: die, panic, grow, or keep others waiting."""

import re
from pathlib import Path

from good_client import GoodClient, p99_ms

from clients import wire
from clients.harness import ChronikBroker

# Others may be slower while the server is under fire, as they share its processors with the senders. The bound is far
# above what is measured, so that a busy machine does not break it, and far below what a stuck event loop would show.
SLOWER_AT_MOST = 50
SLOW_AT_LEAST_MS = 10_000.0

# What the allocator keeps for later, and the tables of connections, come on top of the budget.
BEYOND_BUDGET_MIB = 40


def peak_mib(broker: ChronikBroker) -> float:
    """Peak of resident memory in MiB."""
    status = Path(f"/proc/{broker.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1_024


def assert_unharmed(broker: ChronikBroker, budget_mib: int) -> float:
    """The server runs, said nothing of a panic, answers, and stayed within its memory; returns its peak in MiB."""
    assert broker.process.poll() is None, f"the server is gone:\n{broker.tail()}"
    panics = [line for line in broker.stderr().splitlines() if "panicked" in line or "stack overflow" in line]
    assert panics == []
    assert wire.api_versions(broker.port, timeout_s=20.0)
    peak = peak_mib(broker)
    assert peak < budget_mib + BEYOND_BUDGET_MIB, f"{peak:.0f} MiB"
    return peak


def assert_patient(before_ms: float, client: GoodClient) -> str:
    """Others kept their latency; returns the figures."""
    produce, fetch = p99_ms(client.produces), p99_ms(client.fetches)
    bound = max(SLOW_AT_LEAST_MS, SLOWER_AT_MOST * before_ms)
    assert max(produce, fetch) < bound
    return f"p99 {before_ms:.1f} ms before, produce {produce:.1f} ms and fetch {fetch:.1f} ms meanwhile"
