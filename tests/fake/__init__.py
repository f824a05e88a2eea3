"""An in-process cluster for tests: a fake kube-apiserver and a simulated Tekton.

`cluster.FakeCluster` answers on a real socket what a kube-apiserver answers to a controller, with
faults on demand. `tekton.SimulatedTekton` is an API client that plays PipelineRuns; it works on the
fake and on a real kube-apiserver alike. What the fake promises is the suite in `tests/contract`,
which a real kube-apiserver passes too.

Nothing here imports the program, so that a mistake of the program is not repeated by its judge.
Tests of every kind, the demo and the benchmarks import it.
"""
