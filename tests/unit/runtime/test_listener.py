import pytest

from workflowexecution.runtime import listener


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param(":8081", (None, 8081), id="all-interfaces"),
        pytest.param("0.0.0.0:80", ("0.0.0.0", 80), id="ipv4"),
        pytest.param("[::1]:80", ("::1", 80), id="ipv6"),
        pytest.param("localhost:0", ("localhost", 0), id="name"),
    ],
)
def test_address_is_split_into_host_and_port(
    address: str, expected: tuple[str | None, int]
) -> None:
    assert listener.parse_address(address) == expected


@pytest.mark.parametrize("address", ["", "localhost", "host:port"])
def test_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        listener.parse_address(address)
