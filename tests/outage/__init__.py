"""The outage proof: a Data Storage that goes, and comes back badly, under load.

A real API server, a simulated Tekton, two controllers of which one leads, and the stand-in for the
Data Storage over a real PostgreSQL. Executions are created at a steady rate and a part of them is
deleted, while the store is stopped, slow, and answers 500 after it has stored, and controllers are
killed. What the API server's audit log says was written is what must stand in PostgreSQL, once.

`python -m tests.outage --minutes 10` is the whole of it, `tests/integration/test_audit_outage.py`
a short one.
"""
