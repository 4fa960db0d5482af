"""Who sent a request, from what proxies tell: the tables of what is believed."""

from ipaddress import ip_network

import pytest

from numberkeep.proxies import Proxies, normalised

PROXY = "10.0.0.1"
NETWORKS = [ip_network(n) for n in ("10.0.0.0/8", "2001:db8:1::/48", "::ffff:192.0.2.0/120")]


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, PROXY),
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("198.51.100.7, 203.0.113.9", "203.0.113.9"),  # the first is the client's own claim
        ("198.51.100.7,203.0.113.9,10.0.0.2", "203.0.113.9"),
        ("198.51.100.7, 203.0.113.9, 2001:db8:1::5, 192.0.2.1", "203.0.113.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),  # proxies all the way
        ("2001:DB8::0001", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        # With ports
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("203.0.113.9, 10.0.0.2:80", "203.0.113.9"),
        # What is no address is not read, and neither is what stands before it.
        ("", PROXY),
        ("unknown", PROXY),
        ("203.0.113.9,", PROXY),
        ("203.0.113.9, , 10.0.0.2", "10.0.0.2"),
        ("203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"),
        ("203.0.113.9, _hidden", PROXY),
        ("203.0.113.256", PROXY),
        ("203.0.113.09", PROXY),
        ("203.0.113.9:port", PROXY),
        ("[203.0.113.9]:80", PROXY),
        ("2001:db8::1]", PROXY),
        ("fe80::1%eth0", PROXY),
        ("203.0.113.9 10.0.0.2", PROXY),
        ("203.0.113.\xb2", PROXY),
        ("203.0.113.9, " + "1" * 10_000, PROXY),
    ],
)
def test_the_sender_is_the_last_who_is_no_trusted_proxy(forwarded, address):
    proxies = Proxies(NETWORKS)
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    for _ in range(2):  # read, and remembered
        assert proxies.sender(headers, PROXY, False) == (address, False)


@pytest.mark.parametrize(
    ("scheme", "secure"),
    [
        ("https", True),
        ("HTTPS ", True),
        ("http, https", True),
        ("http", False),
        ("https, http", False),
        ("https,", False),
        ("", False),
        ("httpss", False),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_the_last_scheme_that_a_proxy_tells_counts(scheme, secure, before):
    assert Proxies(NETWORKS).sender({"x-forwarded-proto": scheme}, PROXY, before) == (PROXY, secure)
    assert Proxies(NETWORKS).sender({}, PROXY, before) == (PROXY, before)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.255.0.1", True),
        ("::ffff:10.255.0.1", True),
        ("11.0.0.1", False),
        ("2001:db8:1:2::3", True),
        ("2001:db8:2::3", False),
        ("192.0.2.77", True),
        ("", False),
        ("proxy.example", False),
    ],
)
def test_a_proxy_is_trusted_by_its_address(address, trusted):
    assert Proxies(NETWORKS).trusts(address) is trusted
    assert not Proxies([]).trusts(address)


def test_what_is_remembered_has_a_limit():
    proxies = Proxies(NETWORKS)
    for i in range(10_000):
        found, _ = proxies.sender({"x-forwarded-for": f"198.51.{i // 256}.{i % 256}"}, PROXY, False)
        assert found == f"198.51.{i // 256}.{i % 256}"
    assert len(proxies._known) <= 4096


@pytest.mark.parametrize(
    ("address", "expected"),
    [("::ffff:1.2.3.4", "1.2.3.4"), ("2001:DB8:0::1", "2001:db8::1"), ("1.2.3.4", "1.2.3.4"), ("", ""), ("x", "x")],
)
def test_an_address_is_normalised(address, expected):
    assert normalised(address) == expected
