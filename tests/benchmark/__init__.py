"""Measures the controller on this machine, beside a script that decides nothing.

`python -m tests.benchmark` starts a real kube-apiserver and etcd for each measurement, a simulated
Tekton, and what is measured: the controller as a user starts it, or the reactive floor. CPU and
memory are read from /proc, requests from the apiserver's audit log. Linux only.
"""
