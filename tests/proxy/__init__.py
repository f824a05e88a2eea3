"""A proxy before a real API server, where a test decides what a program sees, and when.

It passes bytes on as they are, over plain HTTP to the program and TLS to the server, and can hold
a request or its answer, lose either, answer with a failure after the server has done the work, and
let the events of a watch come late; and all the faults of the catalogue (`catalogue`, F1 to F14) by
their codes. `Proxy` is the way in, `rules` and `mishaps` have what can happen, `calls` says which
requests are meant.
"""
