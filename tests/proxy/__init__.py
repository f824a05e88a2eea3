"""A proxy before a real API server, where a test decides what a program sees, and when.

It passes bytes on as they are, over plain HTTP to the program and TLS to the server, and can hold
a request or its answer, lose either, answer with a failure after the server has done the work, and
let the events of a watch come late. `Proxy` is the way in, `rules` has the mishaps, `calls` says
which requests are meant.
"""
