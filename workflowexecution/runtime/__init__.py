"""The generic machinery of a Kubernetes controller on one asyncio event loop.

What lives here: the HTTP client and its connection, the informer with its cache, the work queue,
the workers, the services and their supervision, probes, and the error tree. What must not: anything
about workflow executions or Tekton. Nothing of the rest of the program is imported, so this package
could be published alone.

Data flow: ``client.watch -> informer -> store -> subscriber -> queue -> controller -> reconcile``.
A reconcile writes through the client, and its effect comes back by the watch, never by a direct
write to the store.

Who may import it: the wiring (``app``) and the adapters everything; the reconciler only
``controller.Result``, ``errors``, ``resource`` and the read side of ``store``; ``domain`` and
``api`` nothing.

Layers, each importing only what stands below it::

    manager                              services: start, stop, signals
    controller | informer | probes       workers; list and watch; health
    feed | freshness                     objects into the cache; own writes and the cache
    client | store | queue               verbs of the API; cache; keys that need work
    transport | lines | backoff          requests; byte streams; delays
    connection                           where the server is
    credentials | clock | kubelibrary    who we are; the server's time; kubernetes_asyncio
    errors
    resource
"""
