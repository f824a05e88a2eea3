"""Tools for those who write workflows: read, check, pack, sign and push a bundle.

What belongs here works on files and registries alone. Nothing of it runs in the controller, knows a
cluster, or imports `runtime`, `adapters` or `reconciler`; `bundlecommands` is its only user.

    files ──▶ documents ──▶ lint (rules of checks, texts of catalogue)
                        └─▶ image (Tekton's layout) ──▶ registry
"""
