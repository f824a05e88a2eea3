"""Audit records and the lease in the metrics: as they stand when somebody reads."""

from __future__ import annotations

from workflowexecution.adapters import breaker
from workflowexecution.adapters.prometheus import book, records


def test_counts_are_those_of_the_moment() -> None:
    families, counts = book.Book(), {"recorded": 1, "lost": 0}
    is_open = breaker.State.OPEN
    records.add_audit(families, counts=lambda: counts, waiting=lambda: 3, breaker=lambda: is_open)
    assert 'audit_records_total{result="recorded"} 0.0' in families.render(scraped=True).decode()
    assert 'audit_records_total{result="recorded"} 1.0' in families.render().decode()
    counts["recorded"] = 5
    text = families.render().decode()
    assert 'audit_records_total{result="recorded"} 5.0' in text
    assert 'audit_records_total{result="lost"} 0.0' in text
    assert "audit_waiting 3.0" in text
    assert 'audit_breaker{state="open"} 1.0' in text
    assert 'audit_breaker{state="closed"} 0.0' in text
    assert 'audit_breaker{state="half-open"} 0.0' in text


def test_leader_is_told_by_the_name_of_its_lease() -> None:
    families = book.Book()
    records.add_leader(families, name="lease", leading=lambda: True, left_s=lambda: 7.5)
    text = families.render().decode()
    assert 'leader_election_master_status{name="lease"} 1.0' in text
    assert "workflowexecution_lease_left_seconds 7.5" in text
