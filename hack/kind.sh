#!/bin/sh
# A kind cluster with a registry beside it, Tekton, and this project's controller in it.
#
#   hack/kind.sh up      makes it, or what of it is missing
#   hack/kind.sh down    removes it
#
# Needs docker, kind, kubectl, make, Python and the internet. The registry is localhost:5001 for this
# machine and kind-registry.local:5000 for the cluster: Tekton's resolver speaks without TLS to names
# that end in .local, and to hardly any other.
set -eu

cluster=${KIND_CLUSTER:-workflowexecution}
registry=${KIND_REGISTRY:-kind-registry.local}
port=${KIND_REGISTRY_PORT:-5001}
tekton=${TEKTON_VERSION:-v1.9.6}
image=localhost/workflowexecution-controller:dev
root=$(cd "$(dirname "$0")/.." && pwd)

need() {
  for program in docker kind kubectl make; do
    command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
  done
}

up() {
  if [ "$(docker inspect -f '{{.State.Running}}' "$registry" 2>/dev/null || true)" != true ]; then
    docker run -d --restart=always -p "127.0.0.1:$port:5000" --name "$registry" registry:2
  fi
  if ! kind get clusters | grep -qx "$cluster"; then
    # Where the nodes are told, below, to take what is in the registry without TLS.
    kind create cluster --name "$cluster" --config - <<CONFIG
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
CONFIG
  fi
  for node in $(kind get nodes --name "$cluster"); do
    docker exec "$node" mkdir -p "/etc/containerd/certs.d/$registry:5000"
    echo "[host.\"http://$registry:5000\"]" |
      docker exec -i "$node" cp /dev/stdin "/etc/containerd/certs.d/$registry:5000/hosts.toml"
  done
  docker network connect kind "$registry" 2>/dev/null || true
  kubectl config use-context "kind-$cluster"

  kubectl apply -f \
    "https://infra.tekton.dev/tekton-releases/pipeline/previous/$tekton/release.yaml"
  kubectl wait -n tekton-pipelines deployment --all --for=condition=Available --timeout=5m
  kubectl wait -n tekton-pipelines-resolvers deployment --all --for=condition=Available --timeout=5m

  # Which knows the version of the tree; the image has none otherwise.
  make -C "$root" image ENGINE=docker IMAGE="$image"
  kind load docker-image "$image" --name "$cluster"
  kubectl apply -k "$root/manifests/overlays/kind"
  kubectl rollout status deployment/workflowexecution-controller -n kubernaut-system --timeout=5m
}

down() {
  kind delete cluster --name "$cluster"
  docker rm -f "$registry" 2>/dev/null || true
}

case "${1:-}" in
  up) need; up ;;
  down) need; down ;;
  *) echo "usage: $0 up | down" >&2; exit 2 ;;
esac
