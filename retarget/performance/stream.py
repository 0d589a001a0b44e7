"""Send takes to other programs over the network: choose the program, and play a saved take in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from retarget.gltf.document import read_glb
from retarget.performance import livelink, vmc
from retarget.performance.livelink import LiveLinkSender
from retarget.performance.take import Take
from retarget.performance.udp import Sender
from retarget.performance.vmc import VMC_KINDS, VmcSender, expressions_of_avatar, vmc_expressions
from retarget.rig.vrm.expressions import ExpressionMap

Program = Literal["vmc", "livelink"]
"""Protocols: VMC for VTuber programs, Live Link Face for Unreal."""
PROGRAMS: tuple[Program, ...] = get_args(Program)


class PlayResult(NamedTuple):
    """How many moments of a take were sent, and how many were skipped because they were late."""

    sent: int
    skipped: int


def open_sender(
    program: Program,
    host: str = "127.0.0.1",
    port: int | None = None,
    people: int = 1,
    expressions: ExpressionMap | None = None,
) -> Sender:
    """Open a connection to a program.

    Args:
        program: "vmc" or "livelink".
        host: Name or address of the machine on which it runs.
        port: Its port. None for the usual one: 39540 for VMC, 11111 for Live Link.
        people: VMC only: how many people to send, each to a port of their own, from `port` on.
        expressions: VMC only: what to send. Live Link always sends ARKit's names, and all people to one port.

    Raises:
        ValueError: The program or the host is not known, or a number is out of range.
        ImportError: VMC needs python-osc, which is not installed.
    """
    if program == "vmc":
        return VmcSender(host, vmc.DEFAULT_PORT if port is None else port, people, expressions)
    if program == "livelink":
        return LiveLinkSender(host, livelink.DEFAULT_PORT if port is None else port)
    raise ValueError(f"cannot send to {program!r} (expected {' or '.join(PROGRAMS)})")


def expressions_for(names: str) -> ExpressionMap:
    """Return the expressions that VMC should send.

    Args:
        names: "vrm0", "vrm1" or "arkit", or an avatar's .vrm or .glb file, whose own names are then used.

    Raises:
        ValueError: It is neither a known set of names nor a readable file.
    """
    for kind in VMC_KINDS:
        if names == kind:
            return vmc_expressions(kind)
    if not Path(names).is_file():
        raise ValueError(f"expression names {names!r}: expected vrm0, vrm1, arkit or an avatar's file (.vrm)")
    try:
        return expressions_of_avatar(read_glb(names).document)
    except ValueError as error:
        raise ValueError(f"{names}: {str(error).removeprefix(f'{names}: ')}") from None


def play(
    take: Take,
    sender: Sender,
    repeat: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> PlayResult:
    """Send the moments of a take when they are due.

    Args:
        take: The performance.
        sender: Where to send it.
        repeat: Start again at the end, until the process is interrupted.
        on_progress: Called with the number of moments that are done and the number of all moments.

    Returns:
        How many moments were sent and how many were skipped. A moment is skipped if the next one is already due.
    """
    times, sent, skipped = np.unique(take.time_s), 0, 0
    while len(times):
        start = time.perf_counter() - times[0]
        for number, moment in enumerate(times):
            wait_s = moment + start - time.perf_counter()
            if wait_s < 0 and number + 1 < len(times) and times[number + 1] + start <= time.perf_counter():
                skipped += 1
                continue
            time.sleep(max(0.0, wait_s))
            sender.send(take[take.time_s == moment])
            sent += 1
            if on_progress is not None:
                on_progress(number + 1, len(times))
        if not repeat:
            break
    return PlayResult(sent, skipped)
