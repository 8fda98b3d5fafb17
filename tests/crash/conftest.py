"""Fixtures of the crash suites."""

from filled import crossing, killed, killed_directory, stopped, stopped_directory

__all__ = ["crossing", "killed", "killed_directory", "stopped", "stopped_directory"]
