"""Rounds of chance: three controllers, a killed one, broken ways, and what is true afterwards.

`points` is the table of places where a controller can be killed, `controller` the program with
those points in it, `plan` draws what happens in a round from its seed alone, `stage` has what all
rounds are played on, `round` plays one, and `verdict` says what was wrong, by the apiserver's
audit log, PostgreSQL and the kernel. `python -m tests.chaos` is the runner.

Nothing here is imported by the program, and the program has nothing for it: neither a parameter
nor a branch.
"""
