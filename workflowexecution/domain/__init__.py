"""Decisions, as pure functions over gathered facts.

Here live the rules: what a target's lock is called, what a run looks like, what a run's state means
for its execution, why it failed. No I/O, no clock, no event loop, no logging: the reconciler
gathers facts, asks here, and acts.

The subjects know nothing of each other (contract `independent-domain` of `.importlinter`). Below
them stand `text` and `redaction`, which every subject may use, and the parts that one of them is
made of: `failure` is put together from `blame`, `reasons`, `advice` and `summary`; `evidence` has
`logend`; `auditevent` and `auditcheck` are about the transitions of `audit`.
"""
