"""What the suites share: broker processes, wire probes, client helpers and real input."""
