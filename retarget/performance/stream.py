"""Faces to other programs over the network: which program, which address; and a saved take played to it in its own
time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import numpy as np

from retarget.gltf.document import read_glb
from retarget.performance.livelink import PORT as LIVELINK_PORT
from retarget.performance.livelink import LiveLinkSender
from retarget.performance.take import Take
from retarget.performance.vmc import KINDS, Expressions, VmcSender, expressions, expressions_of
from retarget.performance.vmc import PORT as VMC_PORT

PROGRAMS = ("vmc", "livelink")


class Sender(Protocol):
    """What `LiveLinkSender` and `VmcSender` have in common."""

    def send(self, take: Take) -> int:
        """Send the people of one moment; how many were sent."""

    def close(self) -> None:
        """Give the socket back."""


def open_sender(
    program: str,
    host: str = "127.0.0.1",
    port: int | None = None,
    people: int = 1,
    shown: Expressions | None = None,
) -> Sender:
    """A sender for "vmc" or "livelink". port: None for the usual one; people: how many VMC ports, from `port` on;
    shown: VMC's expression names. Live Link has everybody on one port and ARKit's names."""
    if program == "vmc":
        return VmcSender(host, VMC_PORT if port is None else port, people, shown)
    if program == "livelink":
        return LiveLinkSender(host, LIVELINK_PORT if port is None else port)
    raise ValueError(f"{program!r} is no program to send to (expected {' or '.join(PROGRAMS)})")


def expressions_for(names: str) -> Expressions:
    """ "vrm0", "vrm1" or "arkit", or an avatar's file (.vrm, .glb), which then is called by its own names."""
    if names in KINDS:
        return expressions(names)
    if not Path(names).is_file():
        raise ValueError(f"expression names {names!r}: expected {', '.join(KINDS)} or an avatar's file (.vrm)")
    try:
        return expressions_of(read_glb(names).document)
    except ValueError as error:
        raise ValueError(f"{names}: {str(error).removeprefix(f'{names}: ')}") from None


def play(take: Take, sender: Sender, repeat: bool = False) -> tuple[int, int]:
    """Send a take's moments when they are due; moments that come too late are left out. -> sent, left out"""
    times, sent, late = np.unique(take.time_s), 0, 0
    while len(times):
        start = time.perf_counter() - times[0]
        for number, moment in enumerate(times):
            wait = moment + start - time.perf_counter()
            if wait < 0 and number + 1 < len(times) and times[number + 1] + start <= time.perf_counter():
                late += 1
                continue
            time.sleep(max(0.0, wait))
            sender.send(take[take.time_s == moment])
            sent += 1
        if not repeat:
            break
    return sent, late
