"""Kubernetes controller that runs one Tekton PipelineRun for each WorkflowExecution, safely.

`cli` starts it, `app` wires it. `runtime` is the generic part (client, informer, queue, workers)
and knows nothing of the rest; `api` are the wire's models, `domain` the rules, `reconciler` the one
function that brings an execution nearer to its end, `ports` and `adapters` its ways to the world.
"""
