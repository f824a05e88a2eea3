"""A stand-in for the Data Storage service, honest about what the real one does and does not do.

It validates, answers and stores as the real one in both dialects, over a real PostgreSQL: batches
are atomic, ids are its own, and nothing is idempotent, so a record that is sent twice is there
twice. Tests ask it for faults; `python -m tests.datastorage` runs it for local use.
"""
