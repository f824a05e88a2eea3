"""Where everything of a run lives."""

from __future__ import annotations

EXECUTIONS, RUNS, OWN = "outage", "kubernaut-workflows", "kubernaut-system"
NAMESPACES = (EXECUTIONS, RUNS, OWN)
LEASE = "the-lease"
