"""What a server tells of itself."""

import urllib.request

from clients.harness import ChronikBroker

DEADLINE_S = 20.0


def scrape(broker: ChronikBroker) -> dict[str, float]:
    """All series of /metrics by name and labels."""
    url = f"http://127.0.0.1:{broker.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        lines = answer.read().decode().splitlines()
    series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _space, value in series}
