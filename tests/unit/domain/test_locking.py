import pytest

from workflowexecution.domain import locking

# Verified names of the public Go implementation.
VECTORS = [
    pytest.param("payment/deployment/payment-api", "wfe-cf0cc089293b1165", id="namespaced"),
    pytest.param("node/worker-node-1", "wfe-ac45b7d6911e97a5", id="cluster-scoped"),
    pytest.param("default/deployment/my-app", "wfe-c00449355dfb987a", id="default"),
]


@pytest.mark.requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.parametrize(("target", "name"), VECTORS)
def test_run_name_meets_its_published_vectors(target: str, name: str) -> None:
    assert locking.run_name(target) == name


@pytest.mark.requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        pytest.param("payment/Deployment/payment-api", "payment/deployment/payment-api", id="kind"),
        pytest.param("Node/worker-node-1", "node/worker-node-1", id="cluster-scoped"),
        pytest.param("Payment/Deployment/Api", "Payment/deployment/Api", id="kind-alone"),
        pytest.param("nonsense", "nonsense", id="no-kind"),
    ],
)
def test_canonical_target_lowers_the_kind_alone(spelling: str, canonical: str) -> None:
    assert locking.canonical_target(spelling) == canonical
    assert locking.run_name(spelling) == locking.run_name(canonical)


def test_target_label_is_the_hash_of_the_run_name() -> None:
    assert locking.target_label("wfe-cf0cc089293b1165") == "cf0cc089293b1165"
