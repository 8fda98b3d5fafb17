"""Servers that must not start."""

from clients.deadline import wait_until
from clients.harness import Broker

DEADLINE_S = 30.0
# EX_IOERR of sysexits: what is on the disk can not be served.
EXIT_DISK = 74


def refusal(broker: Broker, expected_code: int | None = EXIT_DISK) -> str:
    """What a server printed that refused to start, without a panic, with this exit code (None: any failure)."""
    before = len(broker.stderr())
    broker.spawn()
    process = broker.process

    def decided() -> bool:
        return process.poll() is not None or "Kafka Server started" in broker.stderr()[before:]

    wait_until("the server to start or refuse", DEADLINE_S, decided)
    code = process.poll()
    broker.kill9()
    said = broker.stderr()[before:]
    assert code is not None, f"it serves instead of refusing:\n{said}"
    assert "panicked" not in said, said
    assert code > 0, f"ended with {code}:\n{said}"
    if expected_code is not None:
        assert code == expected_code, f"exit code {code}:\n{said}"
    return said
