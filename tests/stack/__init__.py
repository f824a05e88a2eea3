"""The real cluster on one machine: etcd, kube-apiserver, a node with containerd, Tekton.

Lives here: building the binaries, starting and ending the processes, Tekton's installation, and
helpers that push bundles and make step images. Fixtures, the demo and the benchmarks import
`tests.stack.cluster`; nothing here imports the program under test.

    python -m tests.stack up --parts full     start it, wait until it is ready
    python -m tests.stack status              each process and whether it is ready
    python -m tests.stack kubeconfig          the path of the administrator's kubeconfig
    python -m tests.stack down                end it and leave nothing behind
"""
