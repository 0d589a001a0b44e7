"""Put characters in the places of the people in a photo or clip: check the options, load the characters, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mfn.animation.clip import animate_clip
from mfn.animation.options import AnimateOptions, AnimateResult, Hooks
from mfn.animation.output import (
    IMAGE_SUFFIXES,
    SCENE_SUFFIX,
    SCENE_SUFFIXES,
    TAKE_SUFFIXES,
    VIDEO_SUFFIX,
    picture_beside,
)
from mfn.animation.photo import animate_photo
from mfn.inference.predictor import Predictor
from mfn.video.reader import is_clip
from retarget.animation.scene import check_output
from retarget.animation.vrma import SUFFIX as VRMA_SUFFIX
from retarget.io.files import make_folder, same_file
from retarget.io.scene_arguments import DEFAULT_LIGHT_LUX, DEFAULT_TOLERANCE, Choice, check_effects
from retarget.rig.avatars import DEFAULT_AVATAR, find_avatar
from retarget.rig.joints.find import JointNames
from retarget.rig.load import load_rigs

_SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def animate(predictor: Predictor, source: str, options: AnimateOptions, hooks: Hooks | None = None) -> AnimateResult:
    """Put characters in the places of the people in a photo or clip.

    Args:
        predictor: Detects the faces.
        source: Photo or video file.
        options: What to write.
        hooks: Called while the work goes on. None: nothing is called.

    Raises:
        ValueError: An option is wrong, or there is no face in the input.
        FileNotFoundError: An input or an avatar is missing.

    Everything that can be checked is checked before the long part begins.
    """
    if Path(source).is_dir():
        raise ValueError(f"{source}: a directory (expected one picture or clip; run the command once for each)")
    out = options.out or Path(Path(source).stem + SCENE_SUFFIX)
    clip = is_clip(source)
    _check_options(source, out, options, clip)
    _check_effects(out, options, clip)
    if options.likeness and predictor.free:
        raise ValueError("--likeness: expected 0 with --weights free, because the average person comes from research photos; leave one out")
    avatars = [] if out.suffix.lower() in TAKE_SUFFIXES else [find_avatar(name) for name in options.avatars or [DEFAULT_AVATAR]]
    _check_no_overwriting(source, out, options, avatars, clip)
    hooks = hooks or Hooks()
    if not avatars and (options.avatars or options.maps or options.joints != JointNames()):
        hooks.on_remark(f"{out}: the performance alone, so the characters and their joints are not used")
    rigs = load_rigs(avatars, options.maps if avatars else (), options.joints, options.strength)
    for remark in dict.fromkeys(f"{rig.glb.path}: {remark}" for rig in rigs for remark in rig.remarks):
        hooks.on_remark(remark)
    if options.people_sheet is not None:
        make_folder(options.people_sheet.parent)
    if not clip:
        return animate_photo(predictor, source, rigs, out, options, hooks)
    return animate_clip(predictor, source, rigs, out, options, hooks)


def _check_options(source: str, out: Path, options: AnimateOptions, clip: bool) -> None:
    """Raise ValueError where the options contradict the input."""
    kind = "clip" if clip else "picture"
    suffixes = (*SCENE_SUFFIXES, *TAKE_SUFFIXES, *((VIDEO_SUFFIX,) if clip else IMAGE_SUFFIXES))
    if out.suffix.lower() not in suffixes:
        raise ValueError(f"{out}: a {kind} can be written as {', '.join(suffixes)}; choose one with --out")
    if out.suffix.lower() in SCENE_SUFFIXES:
        check_output(out)
    if out.is_dir():
        raise ValueError(f"{out}: expected a file to write, but this is a directory")
    if options.focal_px is not None and not options.focal_px > 0:
        raise ValueError(f"--focal {options.focal_px}: expected a focal length above 0 px")
    if not 0 <= options.tolerance < 1:
        raise ValueError(f"--tolerance {options.tolerance}: expected 0 (keep every sample) or more, below 1")
    if not 0 <= options.likeness <= 1:
        raise ValueError(f"--likeness {options.likeness:g}: expected 0 (the character itself) to 1")
    if not clip and (options.calibrate or options.resume):
        raise ValueError(f"{source}: --calibrate and --resume work on clips, but this is a picture (--neutral works on both)")
    if not clip and (options.start_s or options.end_s is not None):
        raise ValueError(f"{source}: --start and --end work on clips, but this is a picture")
    if options.calibrate and options.neutral is not None:
        raise ValueError("--calibrate and --neutral: choose one; both say what a face at rest is")
    sheet = options.people_sheet
    if sheet is not None and sheet.suffix.lower() not in _SHEET_SUFFIXES:
        raise ValueError(f"--people-sheet {sheet}: expected an image file that ends in {', '.join(_SHEET_SUFFIXES)}")
    if sheet is not None and sheet.is_dir():
        raise ValueError(f"--people-sheet {sheet}: expected a file to write, but this is a directory")


def _check_effects(out: Path, options: AnimateOptions, clip: bool) -> None:
    """Raise ValueError where an option changes nothing in the file that is written."""
    suffix = out.suffix.lower()
    scene, take = suffix in SCENE_SUFFIXES, suffix in TAKE_SUFFIXES
    animation, picture = scene or suffix == VRMA_SUFFIX, not take and not (clip and scene)
    choices = (
        Choice("--fps", options.fps is not None, animation),
        Choice("--tolerance", options.tolerance != DEFAULT_TOLERANCE, animation),
        Choice("--in-place", options.in_place, scene),
        Choice("--animation-only", options.animation_only, scene),
        Choice("--separate-meshes", options.separate_meshes, scene),
        Choice("--light", options.light_lux != DEFAULT_LIGHT_LUX, scene),
        Choice("--expressions", options.expressions != "preset", suffix == VRMA_SUFFIX),
        Choice("--plain", options.plain, picture),
        Choice("--strength", bool(options.strength), not take),
        Choice("--likeness", options.likeness > 0, not take),
    )
    check_effects(out, f"the {suffix} file of a {'clip' if clip else 'picture'}", choices)


def _check_no_overwriting(source: str, out: Path, options: AnimateOptions, avatars: Sequence[Path], clip: bool) -> None:
    """Raise ValueError where a file to write is one that is read, or one that is written as well."""
    read: list[tuple[str | Path, str]] = [(source, "the input"), *((avatar, "the file of the avatar") for avatar in avatars)]
    read += [] if options.neutral is None else [(options.neutral, "the photo of --neutral")]
    read += [(file, "the file of --map") for file in options.maps]
    written = [(out, "--out")]
    if not clip and out.suffix.lower() in SCENE_SUFFIXES:
        written.append((picture_beside(out), "--out"))
    if options.people_sheet is not None:
        if any(_same_place(options.people_sheet, file) for file, _ in written):
            raise ValueError(f"{options.people_sheet}: --out and --people-sheet both write this file; choose another name for one of them")
        written.append((options.people_sheet, "--people-sheet"))
    for file, option in written:
        for other, what in read:
            if same_file(file, other):
                raise ValueError(f"{file}: this is {what}, which would be overwritten; choose another name with {option}")


def _same_place(first: Path, second: Path) -> bool:
    """Return whether both paths name one file, which need not exist."""
    return same_file(first, second) or first.resolve() == second.resolve()
