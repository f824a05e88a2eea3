"""The wire: models of what is read and written, and the names that clusters carry.

Pure data: no I/O, no decisions. `workflowexecution` is the custom resource, `status` its status,
`tekton` the parts of Tekton's objects that are read, `names` the labels and finalizers, `duration`
Go's duration text.
"""
