"""Reads, decides, acts, writes the status once: what happens to one execution at a time.

`reconciler` picks the room by phase; `pending` starts, `running` mirrors, `ended` keeps and cleans
up, `deleted` lets go; `auditing` keeps account of the records of all that, and `duty` is what it is
asked. `view` is what the cache keeps of an execution, `tools` the collaborators.
Decisions are taken in `domain`; the world is reached through `ports` alone.
"""
