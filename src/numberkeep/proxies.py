"""Finds out who sent a request that came through proxies.

A header can say anything, so ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are read only if the peer is a trusted
proxy, and from the right: each proxy appends what it has seen itself. Nothing else in a request is changed, since its
signature covers the rest as it was sent.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


class Proxies:
    """The trusted proxies: those whose address is in one of `networks`."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(_unmapped_network(network) for network in networks)
        self._known: dict[str, tuple[str, bool] | None] = {}

    def trusts(self, address: str) -> bool:
        """Whether `address` is that of a trusted proxy."""
        found = self._look_up(address)
        return found is not None and found[1]

    def sender(self, headers: Mapping[str, str], address: str, secure: bool) -> tuple[str, bool]:
        """The sender's address according to these `headers`, and whether the request came over TLS.

        `address` and `secure` describe the trusted proxy that passed it on, and are returned where the headers say
        nothing. The sender is the last address in X-Forwarded-For that is not a trusted proxy's. An entry that is not
        an address ends the search: the proxy after it then counts as the sender.
        """
        forwarded = headers.get("x-forwarded-for")
        if forwarded is not None:
            for entry in reversed(forwarded.split(",")):
                found = self._look_up(entry.strip(" \t"))
                if found is None:
                    break
                address, is_proxy = found
                if not is_proxy:
                    break
        scheme = headers.get("x-forwarded-proto")
        if scheme is not None:
            secure = scheme.rpartition(",")[2].strip(" \t").lower() == "https"
        return address, secure

    def _look_up(self, entry: str) -> tuple[str, bool] | None:
        """The address in `entry`, and whether it is a trusted proxy's. Cached, as most entries come again."""
        if len(entry) > _LONGEST_ENTRY:
            return None
        try:
            return self._known[entry]
        except KeyError:
            pass
        address = _address(entry)
        found = (str(address), any(address in network for network in self._networks)) if address else None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[entry] = found
        return found


def normalised(address: str) -> str:
    """`address` in its usual spelling, and as IPv4 if it is IPv4 mapped into IPv6; anything else unchanged."""
    return str(_address(address) or address)


_MOST_KNOWN = 4096
_LONGEST_ENTRY = 64  # of an address with its port: the longest has 47 + 6 characters
# Some proxies add the port: AWS's load balancers if asked to, Azure's always.
_WITH_PORT = re.compile(r"(?:\[([^\]]*:[^\]]*)\]|([0-9.]+))(?::[0-9]{1,5})?")


def _address(entry: str) -> IPv4Address | IPv6Address | None:
    """The address in `entry`, which may have a port; None if there is none, or if it is valid on one link only."""
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port:
        entry = with_port[1] or with_port[2]
    try:
        address = ip_address(entry)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


def _unmapped_network(network: Network) -> Network:
    """`network` as IPv4 if all of it is IPv4 mapped into IPv6, as addresses are compared in that form."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network
