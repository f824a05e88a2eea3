import asyncio
import os
import pathlib
import ssl

import pytest
import structlog.testing

from tests.unit.runtime.authority import Authority
from workflowexecution.runtime import servingcert

pytestmark = pytest.mark.looptime

Pair = tuple[pathlib.Path, pathlib.Path]


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("one")


def load(pair: Pair) -> servingcert.ServingCertificate:
    return servingcert.ServingCertificate(cert_file=str(pair[0]), key_file=str(pair[1]))


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a client is shown, after a handshake in memory."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_mode = ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asker = asking.wrap_bio(down, up)
    answerer = context.wrap_bio(up, down, server_side=True)
    for side in (asker, answerer, asker):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return asker.getpeercert(binary_form=True) or b""


def replace(pair: Pair, other: Pair) -> None:
    """As the kubelet does it: in one step each."""
    for old, new in zip(pair, other, strict=True):
        os.replace(new, old)  # noqa: PTH105 - it is the system call that is meant


async def pass_time(certificate: servingcert.ServingCertificate, seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        following = group.create_task(certificate.run())
        await asyncio.sleep(seconds)
        following.cancel()


async def test_certificate_is_the_one_in_the_files(pair: Pair) -> None:
    expected = ssl.PEM_cert_to_DER_cert(pair[0].read_text())
    assert shown(load(pair).context) == expected


async def test_certificate_follows_its_files_for_new_connections(
    pair: Pair, authority: Authority
) -> None:
    certificate = load(pair)
    other = authority.issue("two")
    expected = ssl.PEM_cert_to_DER_cert(other[0].read_text())
    replace(pair, other)
    with structlog.testing.capture_logs() as logs:
        await pass_time(certificate, 11)
    assert shown(certificate.context) == expected
    assert [line["event"] for line in logs] == ["Certificate loaded again"]


async def test_the_one_before_serves_on_when_the_files_do_not_fit(
    pair: Pair, authority: Authority
) -> None:
    certificate = load(pair)
    expected = shown(certificate.context)
    other = authority.issue("two")
    os.replace(other[0], pair[0])  # noqa: PTH105 - it is the system call that is meant
    with structlog.testing.capture_logs() as logs:
        await pass_time(certificate, 31)
    assert shown(certificate.context) == expected
    assert [line["event"] for line in logs] == ["Certificate cannot be loaded"]
    os.replace(other[1], pair[1])  # noqa: PTH105 - it is the system call that is meant
    await pass_time(certificate, 11)
    assert shown(certificate.context) != expected


async def test_nothing_is_loaded_when_nothing_changes(pair: Pair) -> None:
    certificate = load(pair)
    with structlog.testing.capture_logs() as logs:
        await pass_time(certificate, 100)
    assert logs == []


async def test_files_that_are_gone_are_complained_of_once(pair: Pair) -> None:
    certificate = load(pair)
    pair[0].unlink()
    with structlog.testing.capture_logs() as logs:
        await pass_time(certificate, 100)
    assert [line["event"] for line in logs] == ["Certificate cannot be loaded"]


def test_files_that_cannot_be_used_are_refused_at_the_start(pair: Pair) -> None:
    with pytest.raises(OSError, match=r"(?i)pem|key.values.mismatch"):
        load((pair[0], pair[0]))
    pair[1].unlink()
    with pytest.raises(FileNotFoundError):
        load(pair)
