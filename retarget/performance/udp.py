"""What all senders share: the interface, and a UDP socket."""

from __future__ import annotations

import socket
from typing import NamedTuple, Protocol

from retarget.performance.take import Take


class Sender(Protocol):
    """Sends the people of one moment to another program. `LiveLinkSender` and `VmcSender` are senders."""

    def send(self, take: Take) -> int:
        """Send every sample of a take now. Returns how many were sent."""

    def close(self) -> None:
        """Close the socket."""


class UdpTarget(NamedTuple):
    """A socket and the address (host, port) to send to."""

    socket: socket.socket
    address: tuple[str, int]


def open_udp(host: str, port: int) -> UdpTarget:
    """Open a UDP socket.

    Args:
        host: Name or IPv4 address of the receiver. It is resolved once.
        port: 1 to 65535.

    Raises:
        ValueError: The port is out of range, or the host is not known.
    """
    if not 1 <= port <= 65535:
        raise ValueError(f"port {port}: expected 1 to 65535")
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"{host[:80]}: no such host (expected a name or an address such as 192.168.1.20)") from None
    return UdpTarget(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), (str(found[0][4][0]), port))
