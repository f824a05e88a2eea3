"""Traces by OpenTelemetry: one for each execution, of what is done for it and how long it took.

Only with the extra `tracing`: `wiring.tracing` alone imports this package, and only when the
settings name a collector. `spans` is the library's only user beside `exporter`, which sends what is
finished. The other modules say what is traced. Spans are told when they are over, with ids that
follow from the execution where there is one of a kind, so no process has to remember any.
"""
