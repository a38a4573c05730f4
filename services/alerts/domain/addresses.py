"""Which addresses a webhook may be sent to: those of the public Internet, and those that the operator allows besides.

What is reached is what counts, not how it is spelled: an IPv4 address inside an IPv6 one (mapped, NAT64) is judged as the IPv4 address. Beyond the
IANA special-purpose registries (RFC 6890), which `ipaddress` knows, we refuse what nobody serves webhooks from: multicast, site-local, 6to4, Teredo,
IPv4-compatible addresses, and clouds' metadata services on public addresses.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_REFUSED: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ip_network(text), why)
    for text, why in (
        ("192.0.0.0/24", "a protocol assignment"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("2001::/23", "a protocol assignment"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
    )
)


def reached(address: Address) -> Address:
    """What a connection to an address ends at: the IPv4 address inside a mapped or a NAT64 one, else itself."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Why an address may not be connected to; None if it may. `allowed`: the operator's."""
    address = reached(address)
    if any(address.version == network.version and address in network for network in allowed):
        return None
    special = (why for network, why in _REFUSED if address.version == network.version and address in network)
    kinds = {
        "a loopback address": address.is_loopback,
        "a link-local address": address.is_link_local,
        "a multicast address": address.is_multicast,
        "no global unicast address": isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST,
        "a private or reserved address": not address.is_global,
    }
    return next(special, None) or next((why for why, yes in kinds.items() if yes), None)
