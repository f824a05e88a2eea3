"""The generic machinery of a Kubernetes controller on one asyncio event loop.

What lives here: the HTTP client and its connection, the informer with its cache, the work queue,
the workers, the services and their supervision, probes, and the error tree. What must not: anything
about workflow executions or Tekton. Nothing of the rest of the program is imported, so this package
could be published alone.

Data flow: ``client.watch -> informer -> store -> subscriber -> queue -> controller -> reconcile``.
A reconcile writes through the client, and its effect comes back by the watch, never by a direct
write to the store.

Who may import it: the wiring (``app``) and the adapters everything; the reconciler only
``controller.Result``, ``errors``, ``resource``, ``queue`` (how urgent a key is, and the queue that
its router fills) and the read side of ``store``; ``domain`` and ``api`` nothing.

The modules are in layers, each importing only what stands below it: contract ``runtime-layers`` of
``.importlinter``. What each holds is in ``ARCHITECTURE.md``.
"""
