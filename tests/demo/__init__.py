"""The main job as a person watches it: `make demo` and `make demo-real` tell the same story.

`story` creates two executions, follows them and explains the failure; a stage gives it a cluster:
`embedded` the in-process one, `real` the stack with real Tekton.
"""
