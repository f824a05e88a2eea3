"""The program against a real kube-apiserver, etcd and controller-manager.

Tekton's CRDs are real, Tekton itself is played by the tests: what it writes, and when, is the
point of most of them. The apiserver's audit log is the witness of who wrote what.
"""
