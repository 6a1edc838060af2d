# ruff: noqa: S104 - nothing listens here
"""Settings that admit unknown senders or send secrets unencrypted are named, with what to do; careful ones are not."""

from typing import Any

import pytest

from nightread.exposure import exposures
from nightread.hosts import is_loopback
from nightread.settings import load_settings

TLS = {"certificate": "/c.pem", "key": "/k.pem"}
LOGIN = {"user": "me", "password": "secret"}


def found(**entry: Any) -> list[str]:
    """Return what is reported about one source or destination."""
    place = "destinations" if entry["kind"] in ("store", "stow") else "sources"
    return [each.found for each in exposures(load_settings(**{place: [{"name": "x", **entry}]}))]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "10.1.2.3", "2001:db8::1", "pacs.example", "::ffff:0.0.0.0"])
@pytest.mark.parametrize("callers", [[], [{"address": "0.0.0.0/0"}], [{"address": "::/0"}], [{"address": "9.9.9.9/0"}]])
def test_a_receiver_without_callers_and_tls_is_reported(address: str, callers: list[dict[str, str]]) -> None:
    """On any address that others can reach; a list that fits everybody is no list."""
    (problem,) = found(kind="receiver", address=address, callers=callers)
    assert problem.startswith("everyone who reaches")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_a_receiver_on_loopback_is_not_reported(address: str) -> None:
    """Only this machine can reach it."""
    assert found(kind="receiver", address=address) == []


@pytest.mark.parametrize(
    "rest",
    [
        {"callers": [{"address": "10.1.0.0/16"}]},
        {"callers": [{"ae_title": "CT1"}]},
        {"callers": [{"address": "0.0.0.0/1"}, {"address": "192.0.0.0/3"}, {"address": "2001:db8::/32"}]},
        {"callers": [{"address": "0.0.0.0/1"}, {"ae_title": "CT1", "address": "128.0.0.0/1"}]},
        {"tls": TLS, "callers": [{"address": "10.1.0.0/16"}]},
        {"tls": {**TLS, "ca": "/ca.pem", "require_client": True}},
    ],
)
def test_a_receiver_with_callers_or_certificates_is_not_reported(rest: dict[str, Any]) -> None:
    """A list of callers, or TLS with certificates of callers."""
    assert found(kind="receiver", address="0.0.0.0", **rest) == []


@pytest.mark.parametrize(
    "callers",
    [
        [{"address": "0.0.0.0/1"}, {"address": "128.0.0.0/1"}],
        [{"address": "10.1.2.3"}, {"address": "192.0.0.0/3"}, {"address": "128.0.0.0/2"}, {"address": "0.0.0.0/1"}],
        [{"address": f"{first}.0.0.0/8"} for first in range(224)],
        [{"address": "2000::/4"}, {"address": "3000::/4"}],
    ],
)
def test_several_networks_may_be_everybody(callers: list[dict[str, str]]) -> None:
    """Halves, or all networks in which hosts can be."""
    (problem,) = found(kind="receiver", address="0.0.0.0", callers=callers)
    assert problem.startswith("everyone who reaches")


def test_tls_without_certificates_of_callers_is_reported() -> None:
    """It hides the images on the way, and lets everybody in."""
    (problem,) = found(kind="receiver", address="0.0.0.0", tls=TLS)
    assert problem == "everyone who reaches 0.0.0.0 port 11112 may send images without a certificate"
    (problem,) = found(kind="receiver", address="0.0.0.0", tls={**TLS, "ca": "/ca.pem"})
    assert "no caller has to show a certificate" in problem


def test_certificates_that_do_not_protect_are_reported() -> None:
    """`ca` without `require_client` asks nobody, and `require_client` without `ca` trusts every authority."""
    (ignored,) = found(kind="receiver", tls={**TLS, "ca": "/ca.pem"})
    (public,) = found(kind="receiver", tls={**TLS, "require_client": True})
    assert "no caller has to show a certificate" in ignored
    assert "any public authority" in public


@pytest.mark.parametrize("kind", ["orthanc", "dicomweb", "stow"])
@pytest.mark.parametrize(
    "host", ["pacs.example:8042", "10.1.2.3", "[2001:db8::1]:80", "127.0.0.1.example", "localhost.example"]
)
@pytest.mark.parametrize("login", [LOGIN, {"bearer": "token"}])
def test_a_login_over_http_is_reported(kind: str, host: str, login: dict[str, str]) -> None:
    """The address is that of another machine; https, a missing login or this machine is no problem."""
    (problem,) = found(kind=kind, url=f"http://{host}/dicom", login=login)
    assert "over http" in problem
    assert found(kind=kind, url=f"https://{host}/dicom", login=login) == []
    assert found(kind=kind, url=f"http://{host}/dicom") == []


@pytest.mark.parametrize("host", ["127.0.0.1:8042", "localhost", "[::1]:8042"])
def test_a_login_over_http_to_this_machine_is_not_reported(host: str) -> None:
    """Nothing leaves the machine."""
    assert found(kind="orthanc", url=f"http://{host}", login=LOGIN) == []


def test_a_client_that_demands_certificates_is_reported() -> None:
    """`require_client` has an effect in receivers only."""
    address = {"ae_title": "PACS", "address": "10.1.2.3"}
    assert len(found(kind="store", tls={"ca": "/ca.pem", "require_client": True}, **address)) == 1
    assert len(found(kind="orthanc", url="https://pacs.example", tls={"require_client": True})) == 1
    assert found(kind="store", tls={"ca": "/ca.pem"}, **address) == []


def test_no_secret_is_in_the_report() -> None:
    """The line names the entry and the remedy, not the login."""
    entry = {"name": "pacs", "kind": "orthanc", "url": "http://pacs.example", "login": LOGIN}
    (exposure,) = exposures(load_settings(sources=[entry]))
    assert exposure.line.startswith("source pacs: the login is sent over http")
    assert "secret" not in exposure.line


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("[::1]", True), ("::1%lo", True), ("a.localhost", True), ("LOCALHOST.", True)]
    + [(host, False) for host in ("", "0.0.0.0", "::", "127.0.0.1.example", "localhost.example", "notlocalhost", "1")],
)
def test_loopback(host: str, expected: bool) -> None:
    """Loopback is 127.0.0.0/8, ::1, and the names of RFC 6761."""
    assert is_loopback(host) is expected


def test_an_api_for_others_without_tls_is_reported() -> None:
    """Its keys travel with every request; on loopback, and with a certificate, nobody can read them."""
    (problem,) = exposures(load_settings(api_address="10.1.2.3"))
    assert problem.where == "api"
    assert list(exposures(load_settings(api_address="10.1.2.3", api_tls=TLS))) == []
    assert list(exposures(load_settings(api_address="10.1.2.3", api_port=0))) == []
    assert list(exposures(load_settings())) == []
