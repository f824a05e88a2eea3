"""The ports' other side: Tekton and the API server, reached through `runtime.client`.

An adapter translates and nothing more: which call, which object, what its answer means. Decisions
are taken elsewhere. Adapters do not import each other, nor the reconciler.
"""
