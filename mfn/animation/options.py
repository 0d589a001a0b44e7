"""Options of `mfn animate`, and the hooks by which a long run reports its progress and is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from retarget.io.scene_arguments import DEFAULT_LIGHT_LUX, DEFAULT_TOLERANCE, ExpressionKind
from retarget.rig.joints.find import JointNames

if TYPE_CHECKING:
    from mfn.animation.people.choose import Person

ProgressCallback = Callable[[int, int], None]
"""Called with the number of finished items and their total; 0 where the total is unknown."""


@dataclass(frozen=True, kw_only=True)
class AnimateOptions:
    """What `animate` is asked to write."""

    out: Path | None = None
    """File to write; its suffix chooses the format. None: the name of the input with .glb, in the current directory."""
    avatars: Sequence[str] = ()
    """Files, or names of our characters; people take them in turn. Empty: our robot."""
    maps: Sequence[str] = ()
    """JSON files that map an avatar's own target names; one for all avatars or one for each."""
    joints: JointNames = JointNames()  # noqa: RUF009  # immutable
    """Joints of the avatars."""
    strength: Mapping[str, float] = field(default_factory=dict)
    """How strongly the avatars answer, such as {"brows": 1.5}."""
    focal_px: float | None = None
    """Focal length of the camera, px of the input image. None: 1.2 times the longer side."""
    plain: bool = False
    """Draw the characters on a plain background, with their bodies, instead of over the photo."""
    tolerance: float = DEFAULT_TOLERANCE
    """Largest change of a weight (rotations: radians) that a removed keyframe may cause. 0 keeps every sample."""
    fps: float | None = None
    """Frames a second of a scene; keyframes lie on whole frames. None: those of the clip; of a varying rate the highest, up to 60."""
    in_place: bool = False
    """Each character stays at its own origin: only head, eyes and face move. One file for each person."""
    animation_only: bool = False
    """Leave out surfaces, textures, camera and light of a scene."""
    separate_meshes: bool = False
    """Keep the meshes of a character apart, also where it could be one object."""
    light_lux: float = DEFAULT_LIGHT_LUX
    """Illuminance of the main light of a scene, lux. 0: no light."""
    expressions: ExpressionKind = "preset"
    """.vrma: "preset" for VRM's expressions, "arkit" for ARKit's shapes."""
    calibrate: bool = False
    """Clips: subtract each person's neutral expression, as the clip shows it."""
    neutral: Path | None = None
    """Photo of the same people at rest, whose expressions are subtracted. None: none."""
    people: int | None = None
    """How many people there are; the most present ones are kept. None: keep everybody."""
    drop: Sequence[int] = ()
    """Numbers of people to leave out, as `AnimateResult.found` has them."""
    people_sheet: Path | None = None
    """Image file for a contact sheet of the people with their numbers. None: none."""
    start_s: float = 0.0
    """Clips: where to begin, seconds. The output begins there at 0."""
    end_s: float | None = None
    """Clips: where to end, seconds. None: at the end."""
    resume: bool = False
    """Clips: continue a run that was stopped."""
    likeness: float = 0.0
    """How much each character looks like its person, 0 to 1: the form of the head, and the colors of skin, hair and eyes."""


def ignore_progress(done: int, total: int) -> None:
    """Do nothing."""


def ignore_stage(stage: str) -> None:
    """Do nothing."""


def never_stop() -> bool:
    """Return False."""
    return False


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Functions that a long run calls while it works."""

    on_stage: Callable[[str], None] = ignore_stage
    """Called with a short text when a new stage begins, such as "drawing the characters"."""
    on_remark: Callable[[str], None] = ignore_stage
    """Called with a line for each thing that is special about an avatar, such as a texture that is not read."""
    on_frame: ProgressCallback = ignore_progress
    """Called after each frame in which faces were detected."""
    on_drawn: ProgressCallback = ignore_progress
    """Called after each frame that was drawn."""
    should_stop: Callable[[], bool] = never_stop
    """Asked after each frame. Returns True once for each request to stop the present stage."""


@dataclass(frozen=True, kw_only=True)
class AnimateResult:
    """What `animate` did."""

    files: Sequence[Path]
    """The files written; empty where a run was stopped before a face was found."""
    people: int
    """Number of people in the files."""
    found: Sequence[Person] = ()
    """Everybody who was found in a clip, also those who were left out."""
    frames_done: int = 1
    """Frames that the files contain."""
    frames_total: int = 1
    """Frames of the input, about; 0 where unknown."""
    finished: bool = True
    """False where the run was stopped; `resume` continues it."""
    notes: Sequence[str] = ()
    """Lines that the user should read."""
