"""What all senders share: the interface, a UDP socket, and a port for each person."""

from __future__ import annotations

import logging
import socket
from typing import NamedTuple, Protocol

import numpy as np

from retarget.performance.take import Take

MAX_PEOPLE = 64

_log = logging.getLogger(__name__)
_KEEP_PORT_S = 1.0  # how long an actor who is not seen keeps the port


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


class DatagramSender:
    """Sends datagrams. What the network does not take is lost, as in any UDP: sending goes on after a break of the network."""

    def __init__(self, target: socket.socket) -> None:
        self.socket = target
        self._has_lost = False

    def send(self, data: bytes, address: tuple[str, int]) -> bool:
        """Send a datagram. Returns whether the network took it; the first loss is reported in one line."""
        try:
            self.socket.sendto(data, address)
        except OSError as error:
            if not self._has_lost:
                _log.warning("%s port %d: %s; what cannot be sent is lost, sending goes on", *address, error.strerror or error)
            self._has_lost = True
            return False
        return True


class PortPerPerson:
    """Ports for protocols that have no actor. An actor keeps the port until nobody has seen the actor for one second."""

    def __init__(self, host: str, port: int, people: int) -> None:
        """Open a socket.

        Args:
            host: Name or address of the receiver.
            port: The port of the first person. The others get the ports after it.
            people: How many people are sent at the same time, 1 to 64.

        Raises:
            ValueError: The host is not known, or a port or the number of people is out of range.
        """
        if not 1 <= people <= MAX_PEOPLE or port + people - 1 > 65535:
            raise ValueError(f"{people} people from port {port} on: expected 1 to {MAX_PEOPLE}, on ports up to 65535")
        self.people = people
        self.socket, self._address = open_udp(host, port)
        self._offset: dict[int, int] = {}  # actor -> 0, 1 … people - 1
        self._last_seen_s: dict[int, float] = {}
        self._now_s = -np.inf

    def assign(self, take: Take) -> dict[int, tuple[str, int]]:
        """Return the addresses of the samples that have a port: row of the take -> address.

        Args:
            take: The samples of one moment. Free ports go to the people nearest to the camera. If it is earlier than the moment
                before, a take begins again, and all ports are free.
        """
        by_distance = np.argsort(-take.translation[:, 2], kind="stable").tolist()
        now_s = float(take.time_s.max()) if len(take) else self._now_s
        if now_s < self._now_s:
            self._offset, self._last_seen_s = {}, {}
        self._now_s = now_s
        self._last_seen_s.update(zip(take.actor.tolist(), take.time_s.tolist(), strict=True))
        self._offset = {a: offset for a, offset in self._offset.items() if now_s - self._last_seen_s[a] <= _KEEP_PORT_S}
        found = {}
        for row in by_distance:
            actor = int(take.actor[row])
            free = sorted(set(range(self.people)) - set(self._offset.values()))
            if actor not in self._offset and free:
                self._offset[actor] = free[0]
            if actor in self._offset:
                found[row] = (self._address[0], self._address[1] + self._offset[actor])
        return found
