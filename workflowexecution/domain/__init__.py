"""Decisions, as pure functions over gathered facts.

Here live the rules: what a target's lock is called, what a run looks like, what a run's state means
for its execution, why it failed. No I/O, no clock, no event loop, no logging: the reconciler
gathers facts, asks here, and acts. The modules do not import each other, but for `text` and
`redaction`, which every room may use.
"""
