"""Where a manifest's pictures may be fetched from: schemes, hosts and paths, and the addresses behind them."""

from __future__ import annotations

import ipaddress
import posixpath
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from tasks.credentials import is_secret_parameter

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WEB = ("http", "https")
PORTS = {"http": 80, "https": 443}
# Addresses of IPv4 in the clothes of IPv6 (RFC 6052): a translator would bring us there.
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Place:
    """A scheme, a host (of a store: a bucket), its port (None: the scheme's own) and a folder on it."""

    scheme: str
    host: str
    port: int | None
    folder: str

    def holds(self, parts: SplitResult) -> bool:
        """Whether a URI lies here."""
        if parts.scheme != self.scheme or not _is_host(self.host, parts.hostname or ""):
            return False
        same_port = _port(parts) == (self.port or PORTS.get(self.scheme))
        path = posixpath.normpath(unquote(parts.path) or "/")
        return same_port and (path == self.folder or path.startswith(f"{self.folder.rstrip('/')}/"))


class AllowList:
    """Places of a corpus's `allow`, and networks whose addresses may be private ones. Raises ValueError."""

    def __init__(self, entries: Iterable[str]) -> None:
        found = [_parse(entry) for entry in entries]
        self._places = [one for one in found if isinstance(one, Place)]
        literal = [ipaddress.ip_network(place.host) for place in self._places if _is_address(place.host)]
        self._networks: list[Network] = [one for one in found if not isinstance(one, Place)] + literal

    def permits(self, uri: str) -> bool:
        """Whether a URI lies in one of the places."""
        try:
            parts = urlsplit(uri)
            is_chained = any("::" in part for part in parts[2:])  # fsspec would open one store by another
            return not is_chained and any(place.holds(parts) for place in self._places)
        except ValueError:
            return False

    def permits_address(self, address: str) -> bool:
        """Whether a host may be at an address: a public one, or one of a network that is allowed."""
        found = _unwrap(ipaddress.ip_address(address.partition("%")[0]))
        is_named = any(found.version == network.version and found in network for network in self._networks)
        return is_named or (found.is_global and not found.is_multicast and not found.is_reserved)


def strip_secrets(uri: str) -> str:
    """A URI without user, password and signatures, and with control characters written out; other text as it is."""
    plain = uri if uri.isprintable() else "".join(map(_written, uri))
    if "://" not in plain or not ("@" in plain or "?" in plain):
        return plain
    try:
        parts = urlsplit(plain)
    except ValueError:
        return quote(plain.partition("://")[0]) + "://"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if "@" not in parts.netloc and not any(is_secret_parameter(name) for name, _ in pairs):
        return plain
    query = urlencode([(name, value) for name, value in pairs if not is_secret_parameter(name)])
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def _written(character: str) -> str:
    is_control = unicodedata.category(character) in ("Cc", "Cs")
    return quote(character, errors="replace") if is_control else character


def leads_out(path: str) -> bool:
    """Whether a path has a step up in it, written out or not."""
    return (".." in path or "%" in path) and ".." in unquote(path).replace("\\", "/").split("/")


def describe_place(uri: str) -> str:
    """Scheme and host of a URI, as `allow` may list it."""
    parts = urlsplit(strip_secrets(uri))
    return f"{parts.scheme}://{parts.netloc}"


def _parse(entry: str) -> Place | Network:
    if "://" not in entry:
        try:
            return ipaddress.ip_network(entry)
        except ValueError as error:
            raise ValueError(
                f"{entry!r} is neither a place such as https://host or s3://bucket, nor a network"
            ) from error
    parts = urlsplit(entry)
    if "@" in parts.netloc or parts.query or parts.fragment or leads_out(parts.path):
        raise ValueError("a place in `allow` is a scheme, a host and a folder, and nothing else")
    if not parts.hostname and parts.scheme != "file":
        raise ValueError(f"{entry!r} names no host: write https://* for any")
    return Place(parts.scheme, (parts.hostname or "").rstrip("."), parts.port, posixpath.normpath(parts.path or "/"))


def _is_host(pattern: str, host: str) -> bool:
    host = host.rstrip(".")
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _port(parts: SplitResult) -> int | None:
    return parts.port or PORTS.get(parts.scheme)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _unwrap(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
