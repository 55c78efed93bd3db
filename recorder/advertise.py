"""Kits on the local network find each other by name (DNS service discovery), without anybody typing addresses."""

from __future__ import annotations

import socket
import time
from typing import Any

from firmware_host.errors import PortError

SERVICE = "_syncctl._tcp.local."
LOOK_S = 2.0


class Advertised:
    """The kit's name on the network for as long as this lives; without zeroconf or a network it has none."""

    def __init__(self, kit: str, port: int) -> None:
        self._zeroconf: Any = None
        try:
            from zeroconf import ServiceInfo, Zeroconf

            addresses = _own_addresses()
            info = ServiceInfo(
                SERVICE,
                f"{kit}.{SERVICE}",
                port=port,
                addresses=[socket.inet_aton(a) for a in addresses],
                properties={"kit": kit},
                server=f"{socket.gethostname().partition('.')[0]}.local.",
            )
            self._zeroconf = Zeroconf()
            self._zeroconf.register_service(info, allow_name_change=True)
        except Exception:  # a kit without a network records all the same, and is still found by its address
            self.close()

    def close(self) -> None:
        """Take the name back."""
        if self._zeroconf is not None:
            self._zeroconf.close()
            self._zeroconf = None


def find(seconds: float = LOOK_S) -> dict[str, str]:
    """Kits on the network: name -> ``address:port``.

    Raises:
        PortError: zeroconf is not installed, or there is no network to look at.
    """
    try:
        from zeroconf import ServiceBrowser, Zeroconf
    except ImportError as error:
        raise PortError(
            "looking for kits needs the package zeroconf: pip install zeroconf, or name the kits with --host"
        ) from error
    try:
        zeroconf = Zeroconf()
    except OSError as error:
        raise PortError(f"the network cannot be asked ({error}); name the kits with --host") from error
    seen: Any = _Seen()
    try:
        ServiceBrowser(zeroconf, SERVICE, seen)
        time.sleep(seconds)
        return {
            name: where
            for service in sorted(seen.names)
            if (found := _resolved(zeroconf, service))
            for name, where in [found]
        }
    finally:
        zeroconf.close()


class _Seen:
    """What zeroconf tells of: names that came and went."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_service(self, _: Any, __: str, name: str) -> None:
        self.names.add(name)

    def remove_service(self, _: Any, __: str, name: str) -> None:
        self.names.discard(name)

    def update_service(self, _: Any, __: str, name: str) -> None:
        self.names.add(name)


def _resolved(zeroconf: Any, name: str) -> tuple[str, str] | None:
    info = zeroconf.get_service_info(SERVICE, name, timeout=1000)
    if info is None or not (addresses := info.parsed_addresses()):
        return None
    return name.removesuffix(f".{SERVICE}"), f"{addresses[0]}:{info.port}"


def _own_addresses() -> list[str]:
    import ifaddr

    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    return [a for a in found if not a.startswith("127.")] or ["127.0.0.1"]
