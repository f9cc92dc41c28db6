"""How members' addresses are read and written."""

from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection._core.endpoints import Endpoint, parse_endpoints
from aioelection.errors import InvalidConfiguration

A, B, C = Endpoint("a", 2379), Endpoint("b", 2379), Endpoint("c", 2379)


def refusal(value: object) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        parse_endpoints(cast("Any", value))
    return str(caught.value)


# Reading


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://a:2379", Endpoint("a", 2379)),
        ("https://a:2379", Endpoint("a", 2379, secure=True)),
        ("HTTPS://a:2379", Endpoint("a", 2379, secure=True)),
        ("http://etcd-0.etcd.svc:12379", Endpoint("etcd-0.etcd.svc", 12379)),
        ("http://127.0.0.1:2379/", Endpoint("127.0.0.1", 2379)),
        ("a:1", Endpoint("a", 1)),
        ("a:65535", Endpoint("a", 65535)),
        ("  http://a:2379 ", Endpoint("a", 2379)),
        # without a port: etcd's
        ("http://a", Endpoint("a", 2379)),
        ("https://a", Endpoint("a", 2379, secure=True)),
        ("a", Endpoint("a", 2379)),
        ("a:", Endpoint("a", 2379)),
        # IPv6
        ("http://[::1]:2380", Endpoint("::1", 2380)),
        ("https://[2001:db8::7]", Endpoint("2001:db8::7", 2379, secure=True)),
        ("[::1]:2380", Endpoint("::1", 2380)),
        ("[::1]", Endpoint("::1", 2379)),
    ],
)
def test_one_endpoint(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoints(text) == (endpoint,)
    assert parse_endpoints([text]) == (endpoint,)


def test_what_has_no_scheme_is_secure_where_tls_is_given() -> None:
    assert parse_endpoints("a", secure=True) == (Endpoint("a", 2379, secure=True),)
    assert parse_endpoints("a", secure=False) == (Endpoint("a", 2379, secure=False),)
    assert parse_endpoints("a") == (Endpoint("a", 2379, secure=False),)


@pytest.mark.parametrize("secure", [True, False])
def test_a_scheme_that_is_written_counts(secure: bool) -> None:
    assert parse_endpoints("http://a,https://b", secure=secure) == (A, Endpoint("b", 2379, secure=True))


@pytest.mark.parametrize(
    "value",
    [
        "http://a:2379,http://b:2379,c",
        "a, b , c",
        ["a", "http://b", "c:2379"],
        ("a", "b", "c"),
        (text for text in ("a", "b", "c")),
        {"a": 1, "b": 2, "c": 3},
    ],
)
def test_many_endpoints_in_their_order(value: str | Iterable[str]) -> None:
    assert parse_endpoints(value) == (A, B, C)


def test_an_endpoint_named_twice_is_one() -> None:
    assert parse_endpoints("b,http://a,b:2379,a,B") == (B, A)
    assert len(parse_endpoints("http://a,https://a,a:2380")) == 3


@pytest.mark.parametrize("text", ["a:2379:1", "a:port", "a:65536"])
def test_a_port_that_is_none_is_told_as_such(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="the port is no number up to 65535"):
        parse_endpoints(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http://:2379",
        "ftp://a:2379",
        "unix:///run/etcd.sock",
        "http://a:port",
        "http://a:-1",
        "http://a:0",
        "http://a:65536",
        "http://a:23 79",
        "http://a b:2379",
        "a\nb",
        "http://a:2379/v3",
        "http://a:2379?x=1",
        "http://a:2379#x",
        "http://[::1",
        "::1",
        "2001:db8::7",
        "http//a",
        " ",
        "\t",
    ],
)
def test_a_malformed_one_is_refused_by_name(text: str) -> None:
    for value in (text, [text], f"http://good:2379,{text}", ["http://good:2379", text]):
        message = refusal(value)
        assert repr(text) in message
        assert "http://host:port" in message, "it says what is right"
        assert "good" not in message


@pytest.mark.parametrize("value", ["", "http://a,", ",http://a", "http://a,,http://b", [""]])
def test_an_empty_one_is_refused(value: object) -> None:
    assert "endpoint '' is malformed (empty)" in refusal(value)


def test_none_at_all_is_refused() -> None:
    assert "at least one endpoint" in refusal([])


@pytest.mark.parametrize("value", [None, 2379, 1.5, True, b"http://a:2379"])
def test_what_is_neither_text_nor_a_list_is_refused_by_name(value: object) -> None:
    message = refusal(value)
    assert "endpoints must be str or a list of str" in message
    assert repr(value) in message


@pytest.mark.parametrize("each", [None, 2379, b"http://a:2379", ["http://a:2379"]])
def test_a_list_of_other_things_is_refused_by_name(each: object) -> None:
    assert repr(each) in refusal([each])
    assert repr(each) in refusal(["http://a:2379", each])


# Passwords


@pytest.mark.parametrize(
    "text", ["http://root:secret@a:2379", "https://root@a:2379", "root:secret@a:2379", "http://@a"]
)
def test_credentials_in_a_url_are_refused_and_told_where_they_belong(text: str) -> None:
    message = refusal(text)
    assert "user and password belong in the arguments" in message
    assert "endpoint 'a" in message


AWKWARD = st.text(st.sampled_from("/?#,:@[]%&=\\ \t\n;+é℀①abc123"), max_size=8)


@given(AWKWARD, AWKWARD, st.sampled_from(["http://", "https://", "", "ftp://", "http:", "//"]), st.booleans())
def test_a_password_never_appears_in_an_error(before: str, after: str, scheme: str, two: bool) -> None:
    text = f"{scheme}root:{before}hunter2{after}@a:2379"
    if two:
        text = f"http://b:2379,{text},{text}"
    for value in (text, [text], ["http://b:x", text], text.encode(), [text.encode()], [[text]], {text: 1}):
        assert "hunter2" not in refusal(value).casefold()


# Writing


@pytest.mark.parametrize(
    ("endpoint", "authority", "written"),
    [
        (Endpoint("a", 2379), "a:2379", "http://a:2379"),
        (Endpoint("a", 2379, secure=True), "a:2379", "https://a:2379"),
        (Endpoint("10.0.0.1", 1), "10.0.0.1:1", "http://10.0.0.1:1"),
        (Endpoint("::1", 2379, secure=True), "[::1]:2379", "https://[::1]:2379"),
    ],
)
def test_an_endpoint_is_written_as_grpc_and_as_people_want_it(endpoint: Endpoint, authority: str, written: str) -> None:
    assert endpoint.authority == authority
    assert str(endpoint) == written


@pytest.mark.parametrize(
    ("endpoint", "target", "written"),
    [
        (Endpoint("a", 2379), "a:2379", "http://a:2379"),
        (Endpoint("::1", 2380), "[::1]:2380", "http://[::1]:2380"),
        (Endpoint("a", 2380, address="10.0.0.1"), "ipv4:10.0.0.1:2380", "http://a:2380 (10.0.0.1)"),
        (Endpoint("a", 2380, True, "2001:db8::7"), "ipv6:[2001:db8::7]:2380", "https://a:2380 (2001:db8::7)"),
        (Endpoint("a", 2380, address="fe80::1%lo"), "ipv6:[fe80::1%lo]:2380", "http://a:2380 (fe80::1%lo)"),
    ],
)
def test_one_address_of_a_host_is_connected_to_and_told(endpoint: Endpoint, target: str, written: str) -> None:
    assert endpoint.target == target
    assert str(endpoint) == written


@pytest.mark.parametrize("address", [None, "10.0.0.1", "2001:db8::7"])
def test_a_server_is_known_by_its_name_whichever_of_its_addresses_is_meant(address: str | None) -> None:
    """A certificate names the host."""
    assert Endpoint("a", 2380, address=address).authority == "a:2380"
    assert Endpoint("::1", 2380, address=address).authority == "[::1]:2380"


def test_the_addresses_of_a_host_are_endpoints_of_their_own() -> None:
    addresses: list[str | None] = [None, "10.0.0.1", "10.0.0.2"]
    assert len({Endpoint("a", 2379, address=address) for address in addresses}) == 3
    assert Endpoint("a", 2379, address=None) == A


def test_what_a_user_writes_means_no_address_in_particular() -> None:
    assert [each.address for each in parse_endpoints("a,10.0.0.1,[::1]")] == [None, None, None]


HOSTS = st.one_of(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True), st.ip_addresses().map(str))
ENDPOINTS = st.builds(Endpoint, HOSTS, st.integers(1, 65535), st.booleans())


@given(st.lists(ENDPOINTS, min_size=1, unique=True), st.booleans())
def test_what_is_written_reads_as_the_same(endpoints: list[Endpoint], secure: bool) -> None:
    written = [str(each) for each in endpoints]
    assert parse_endpoints(written, secure=secure) == tuple(endpoints)
    assert parse_endpoints(",".join(written), secure=secure) == tuple(endpoints)


@given(st.one_of(st.text(), st.text(st.sampled_from("htp:/[]@,ab.12#?% ")), st.lists(st.text())))
def test_any_text_is_read_or_refused(value: str | list[str]) -> None:
    try:
        endpoints = parse_endpoints(value)
    except InvalidConfiguration:
        return
    assert endpoints
    assert all(each.host and 1 <= each.port <= 65535 for each in endpoints)
