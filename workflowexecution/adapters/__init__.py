"""The ports' other side: Tekton and the API server, reached through `runtime.client`.

An adapter translates and nothing more: which call, which object, what its answer means. Decisions
are taken elsewhere. An adapter imports another where it is made of it, hands it its objects or
speaks of the same kind of them; none imports the reconciler.
"""
