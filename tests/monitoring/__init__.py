"""Alerts and dashboard: what the controller shows in a situation, recorded; the rules over it.

`situations` tells what happens, `stage` lets it happen around the real program in virtual time and
scrapes it like a Prometheus, `series` keeps what was scraped in `golden/`. `python -m
tests.monitoring record` records again, `rule` writes the operator's object from the rule file.
`tests/integration/test_alerts.py` holds the rules against the golden series.
"""
