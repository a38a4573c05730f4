"""Where webhooks may go: the public Internet, however an address is spelled."""

from ipaddress import ip_address, ip_network

import pytest
from pydantic import ValidationError

from services.alerts.domain.addresses import refusal
from services.alerts.domain.endpoint import WebhookTerms

FORBIDDEN = {
    "0.0.0.0": "private",  # noqa: S104 - refused
    "0.1.2.3": "private",
    "10.0.0.1": "private",
    "100.64.0.1": "private",
    "100.100.100.200": "private",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.169.254": "link-local",
    "169.254.170.2": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.8": "protocol",
    "192.0.0.192": "protocol",
    "192.0.2.1": "private",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "198.18.0.1": "private",
    "198.51.100.1": "private",
    "203.0.113.1": "private",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "private",
    "255.255.255.255": "private",
    "::": "no global unicast",
    "::1": "loopback",
    "::127.0.0.1": "no global unicast",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:a9fe:a9fe": "link-local",
    "::ffff:0:127.0.0.1": "no global unicast",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "64:ff9b:1::7f00:1": "no global unicast",
    "100::1": "no global unicast",
    "2001::1": "protocol",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:a9fe:a9fe::1": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "no global unicast",
    "fc00::1": "no global unicast",
    "fd00:ec2::254": "no global unicast",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "no global unicast",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
}


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_address_inside_is_reached(address: str) -> None:
    found = refusal(ip_address(address))
    assert found is not None
    assert FORBIDDEN[address] in found


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808", "2a00:1450::1"]
)
def test_the_internet_is(address: str) -> None:
    assert refusal(ip_address(address)) is None


def test_the_operator_may_allow_more() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    for address, ok in {"10.1.2.3": True, "::ffff:10.1.2.3": True, "10.2.0.1": False, "fd12::1": True, "fe80::1": False}.items():
        assert (refusal(ip_address(address), allowed) is None) == ok


SPELLINGS = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http:\\\\127.0.0.1\\",
    "http:127.0.0.1",
    "HTTP://127.0.0.1:80",
    " http://127.0.0.1 ",
    "http://%31%32%37.0.0.1/",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_every_spelling_of_an_address_is_read_as_it(url: str) -> None:
    try:
        terms = WebhookTerms(url=url)
    except ValidationError:
        return  # no URL at all is as good
    address = terms.literal_address()
    assert address is not None, terms.url
    assert refusal(address) is not None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:pw@example.com/", "without user and password"),
        ("https://example.com/#x", "without a fragment"),
        ("ftp://example.com/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("https://", "host"),
        ("example.com", "relative URL"),
    ],
)
def test_what_is_no_endpoint_is_told(url: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        WebhookTerms(url=url)
