"""Send takes to other programs over the network: choose the program, and play a saved take in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import read_glb
from retarget.gltf.reading.damage import damage_as_value_error
from retarget.performance import ifacialmocap, livelink, vmc
from retarget.performance.ifacialmocap import IFacialMocapSender
from retarget.performance.livelink import LiveLinkSender
from retarget.performance.take import Take
from retarget.performance.udp import Sender
from retarget.performance.vmc import VmcAvatar, VmcSender, avatar_of_document, usual_avatar
from retarget.rig.vrm.sending import EXPRESSION_NAMES

Program = Literal["vmc", "livelink", "ifacialmocap", "ifacialmocap-v2"]
"""Protocols: VMC for VTuber programs, Live Link Face for Unreal, iFacialMocap in its two data versions for programs that know that app."""
PROGRAMS: tuple[Program, ...] = get_args(Program)
DEFAULT_PORTS: dict[Program, int] = {
    "vmc": vmc.DEFAULT_PORT,
    "livelink": livelink.DEFAULT_PORT,
    "ifacialmocap": ifacialmocap.DEFAULT_PORT,
    "ifacialmocap-v2": ifacialmocap.DEFAULT_PORT,
}


_USUAL_FPS = 30.0
_MAX_FPS = 240.0


class PlayResult(NamedTuple):
    """How many moments of a take were sent, skipped because they were late, or lost: the network failed, or nobody in them had a port."""

    sent: int
    skipped: int
    lost: int


def open_sender(
    program: Program,
    host: str = "127.0.0.1",
    port: int | None = None,
    people: int = 1,
    avatar: VmcAvatar | None = None,
) -> Sender:
    """Open a connection to a program.

    Args:
        program: One of PROGRAMS.
        host: Name or address of the machine on which it runs.
        port: Its port. None for the usual one, see DEFAULT_PORTS.
        people: How many people to send, each to a port of their own, from `port` on. Live Link sends all to one port.
        avatar: VMC only: what to send. The others always send ARKit's names.

    Raises:
        ValueError: The program or the host is not known, or a number is out of range.
        ImportError: VMC needs python-osc, which is not installed.
    """
    if program not in PROGRAMS:
        raise ValueError(f"cannot send to {program!r} (expected {' or '.join(PROGRAMS)})")
    port = DEFAULT_PORTS[program] if port is None else port
    if program == "vmc":
        return VmcSender(host, port, people, avatar)
    if program == "livelink":
        return LiveLinkSender(host, port)
    return IFacialMocapSender(host, port, people, 1 if program == "ifacialmocap" else 2)


def avatar_for(names: str) -> VmcAvatar:
    """Return what VMC should send.

    Args:
        names: "vrm0", "vrm1" or "arkit", or an avatar's .vrm or .glb file: then all that it has, under its own names.

    Raises:
        ValueError: It is neither a known set of names nor a readable file.
    """
    for known in EXPRESSION_NAMES:
        if names == known:
            return usual_avatar(known)
    if not Path(names).is_file():
        raise ValueError(f"expression names {names!r}: expected vrm0, vrm1, arkit or an avatar's file (.vrm)")
    with damage_as_value_error(names):
        return avatar_of_document(read_glb(names).document)


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
        repeat: Start again after the last moment, which lasts one frame, until the process is interrupted.
        on_progress: Called with the number of moments that are done and the number of all moments.

    Returns:
        How many moments were sent, skipped and lost. A moment is skipped if the next one is already due.
    """
    times, sent, skipped, lost = np.unique(take.time_s), 0, 0, 0
    while len(times):
        start = time.perf_counter() - times[0]
        for number, moment in enumerate(times):
            wait_s = moment + start - time.perf_counter()
            if wait_s < 0 and number + 1 < len(times) and times[number + 1] + start <= time.perf_counter():
                skipped += 1
                continue
            time.sleep(max(0.0, wait_s))
            arrived = sender.send(take[take.time_s == moment]) > 0
            sent, lost = sent + arrived, lost + (not arrived)
            if on_progress is not None:
                on_progress(number + 1, len(times))
        if not repeat:
            break
        time.sleep(max(0.0, times[-1] + _step_s(take, times) + start - time.perf_counter()))
    return PlayResult(sent, skipped, lost)


def _step_s(take: Take, times: NDArray[np.float64]) -> float:
    """Return how long one of the moments (M,) of a take lasts, in seconds: a frame of its footage, else the usual step between moments."""
    if take.footage.fps is not None:
        step_s = 1 / take.footage.fps
    else:
        step_s = float(np.median(np.diff(times))) if len(times) > 1 else 1 / _USUAL_FPS
    return max(step_s, 1 / _MAX_FPS)
