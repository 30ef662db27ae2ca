import asyncio
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpcore
import pytest
import standardwebhooks
from pydantic import SecretStr

from deployments.errors import InvalidInput
from deployments.jobs.notices import webhook
from deployments.jobs.notices.addresses import CheckedNetwork, is_public
from deployments.jobs.notices.errors import NoticeImpossible, NoticeRefused
from deployments.jobs.notices.webhook import WebhookSender, check_url
from tests.unit.jobs.receiver import receiver

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
NOTICE = {"event_id": "evt_1", "status": "succeeded", "occurred_at": "2026-11-22T00:00:00.000Z"}

NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


def sender(allow_private: bool = True) -> WebhookSender:
    return WebhookSender(SecretStr(SECRET), allow_private)


def test_a_webhook_is_what_the_standards_own_library_accepts() -> None:
    with receiver([200]) as (url, requests):
        asyncio.run(sender().send(url, NOTICE))
    (request,) = requests
    event = standardwebhooks.Webhook(SECRET).verify(request.body, dict(request.headers.items()))
    assert event == {"type": "job.succeeded", "timestamp": NOTICE["occurred_at"], "data": NOTICE}
    assert request.path == "/hook?x=1"
    assert request.headers["webhook-id"] == "evt_1"
    assert request.headers["content-type"] == "application/json"


def test_a_changed_body_no_longer_fits_its_signature() -> None:
    with receiver([200]) as (url, requests):
        asyncio.run(sender().send(url, NOTICE))
    changed = requests[0].body.replace(b"succeeded", b"failed")
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(changed, dict(requests[0].headers.items()))


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
def test_anything_but_success_is_refused_and_no_redirect_is_followed(status: int) -> None:
    with receiver([status, 200]) as (url, requests):
        with pytest.raises(NoticeRefused, match=f"status {status}"):
            asyncio.run(sender().send(url, NOTICE))
    assert len(requests) == 1


def test_a_receiver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(NoticeRefused, match="no answer within"):
            asyncio.run(sender().send(url, NOTICE))
    assert time.monotonic() - started < 5


def test_a_receivers_endless_answer_is_not_read() -> None:
    with receiver([200], reply=b"x" * 50_000_000) as (url, requests):
        started = time.monotonic()
        asyncio.run(sender().send(url, NOTICE))
    assert len(requests) == 1
    assert time.monotonic() - started < 5


def test_certificates_are_not_read_again_for_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = sender()
    monkeypatch.setattr(ssl, "create_default_context", None)
    with receiver([200]) as (url, _), pytest.raises(NoticeRefused, match="ConnectError"):
        asyncio.run(hook.send(url.replace("http://", "https://"), NOTICE))  # no TLS is spoken there


def test_nobody_there_is_refused() -> None:
    with pytest.raises(NoticeRefused, match="ConnectError"):
        asyncio.run(sender().send("http://127.0.0.1:1", NOTICE))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name has these addresses; returns the names that were looked up."""
    asked = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("addresses", [("10.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::1",)])
def test_a_name_with_an_address_that_is_not_public_is_never_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    resolving_to(monkeypatch, *addresses)
    with pytest.raises(NoticeImpossible, match="not a public address"):
        asyncio.run(sender(allow_private=False).send("https://hook.example.com", NOTICE))


def test_slow_look_ups_take_no_thread_from_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        answers.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async def scenario() -> str:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        network = CheckedNetwork(allow_private=False)
        looking_up = asyncio.create_task(network.connect_tcp("hook.example.com", 443))
        await asyncio.sleep(0)  # the look-up has been handed to its thread
        try:
            async with asyncio.timeout(5):
                read = await asyncio.to_thread(str, "read")
        finally:
            answers.set()
        with pytest.raises(NoticeRefused, match="can't be resolved"):
            await looking_up
        return read

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert asyncio.run(scenario()) == "read"


def test_a_host_that_no_resolver_takes_is_not_tried_again() -> None:
    with pytest.raises(NoticeImpossible, match="not the name of a host"):
        asyncio.run(CheckedNetwork(allow_private=True).connect_tcp("hook..example.com", 443))


def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolving_to(monkeypatch, "8.8.8.8")
    connected = []

    async def connect(self: object, host: str, port: int, *_: object) -> None:
        connected.append((host, port))
        raise httpcore.ConnectError

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(httpcore.ConnectError):
        asyncio.run(CheckedNetwork(allow_private=False).connect_tcp("hook.example.com", 443))
    assert (asked, connected) == (["hook.example.com"], [("8.8.8.8", 443)])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "http://example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://user:password@example.com",
        "https://user@example.com",
        "https://localhost/x",
        "https://localhost./x",
        "https://hook..example.com",
        "https://" + 64 * "a" + ".example.com",
        "https://metadata.google.internal",
        "https://127.0.0.1",
        "https://[::1]:443",
        "https://169.254.169.254/latest/meta-data",
        "https://example.com:99999",
        "https://[::1",
        "https://exa mple.com",
        "https://example.com/\r\nhost: x",
        "https://예제.example",
    ],
)
def test_a_url_that_could_never_be_sent_to_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match="webhook_url"):
        check_url(url, allow_private=False)


def test_a_public_https_url_is_accepted_and_http_only_where_configured() -> None:
    check_url("https://hooks.example.com:8443/a?b=c", allow_private=False)
    check_url("http://10.0.0.1:8080/a", allow_private=True)
    with pytest.raises(InvalidInput):
        check_url("ftp://10.0.0.1", allow_private=True)


def test_a_name_that_ends_in_numbers_is_resolved_before_it_is_trusted() -> None:
    check_url("https://2130706433/", allow_private=False)  # 127.0.0.1, as the resolver reads it
    with pytest.raises(NoticeImpossible):
        asyncio.run(sender(allow_private=False).send("https://2130706433/", NOTICE))


def test_a_signed_body_is_json_in_utf_8() -> None:
    with receiver([200]) as (url, requests):
        asyncio.run(sender().send(url, {**NOTICE, "error": {"detail": "너무 길어요"}}))
    assert json.loads(requests[0].body)["data"]["error"]["detail"] == "너무 길어요"
