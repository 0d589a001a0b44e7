"""Put characters in the places of the people in a photo or clip: check the options, load the characters, run."""

from __future__ import annotations

from pathlib import Path

from mfn.animation.clip import animate_clip
from mfn.animation.options import AnimateOptions, AnimateResult, Hooks
from mfn.animation.output import IMAGE_SUFFIXES, SCENE_SUFFIX, SCENE_SUFFIXES, TAKE_SUFFIXES, VIDEO_SUFFIX
from mfn.animation.photo import animate_photo
from mfn.inference.predictor import Predictor
from mfn.video.reader import is_clip
from retarget.animation.scene import check_output
from retarget.io.files import same_file
from retarget.rig.avatars import DEFAULT_AVATAR, find_avatar
from retarget.rig.load import load_rigs


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
    avatars = [] if out.suffix.lower() in TAKE_SUFFIXES else [find_avatar(name) for name in options.avatars or [DEFAULT_AVATAR]]
    if any(same_file(out, avatar) for avatar in avatars):
        raise ValueError(f"{out}: this is the file of the avatar; choose another name with --out")
    rigs = load_rigs(avatars, options.maps if avatars else (), options.joints, options.strength)
    hooks = hooks or Hooks()
    for remark in dict.fromkeys(f"{rig.glb.path}: {remark}" for rig in rigs for remark in rig.remarks):
        hooks.on_remark(remark)
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
    if same_file(out, source):
        raise ValueError(f"{out}: this is the input; choose another name with --out")
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
    if options.end_s is not None and options.end_s <= options.start_s:
        raise ValueError(f"--end {options.end_s:g}: expected a time after --start {options.start_s:g}")
    if options.calibrate and options.neutral is not None:
        raise ValueError("--calibrate and --neutral: choose one; both say what a face at rest is")
    for other in (options.neutral, options.people_sheet):
        if other is not None and same_file(out, other):
            raise ValueError(f"{out}: this file is named twice; choose another name with --out")
    if options.people_sheet is not None and same_file(options.people_sheet, source):
        raise ValueError(f"{options.people_sheet}: this is the input; choose another name for the sheet")
