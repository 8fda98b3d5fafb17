"""Servers that must not start."""

from clients.deadline import wait_until
from clients.harness import Broker

DEADLINE_S = 30.0
# EX_IOERR of sysexits: what is on the disk can not be served.
EXIT_DISK = 74


def refusal(broker: Broker, expected_code: int | None = EXIT_DISK) -> str:
    """What a server printed that refused to start, without a panic, with this exit code (None: any failure)."""
    said = refusal_or_start(broker, expected_code)
    if said is None:
        broker.kill9()
        raise AssertionError(f"it serves instead of refusing:\n{broker.tail(5)}")
    return said


def refusal_or_start(broker: Broker, expected_code: int | None = None) -> str | None:
    """Like `refusal`, or None if the server started; it is then running."""
    before = len(broker.stderr())
    broker.spawn()
    process = broker.process
    started = lambda: "Kafka Server started" in broker.stderr()[before:]
    try:
        wait_until("the server to start or refuse", DEADLINE_S, lambda: process.poll() is not None or started())
    except TimeoutError:
        broker.kill9()
        raise
    code, said = process.poll(), broker.stderr()[before:]
    if code is None:
        return None
    broker.kill9()
    assert "panicked" not in said, said
    assert code > 0, f"ended with {code}:\n{said}"
    assert expected_code in (None, code), f"exit code {code}:\n{said}"
    return said
