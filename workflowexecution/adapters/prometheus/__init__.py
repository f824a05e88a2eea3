"""The program's metrics, as Prometheus reads them.

`series` is the library's only user: what happens is counted in plain cells, which are handed to
aioprometheus when somebody reads. The other modules say what is counted. Nothing here asks the
cluster; `wiring` hands in where the values of a moment come from.
"""
