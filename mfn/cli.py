"""The `mfn` command: which verb, which options, which exit code. What does the work is imported when it is asked for.

Exit codes: 0 done, 1 bad input (one clear line on stderr), 2 usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

HELP = """\
usage: mfn COMMAND [options]

Every face of a picture in one pass: box, head pose, identity and 51 ARKit weights; and characters driven by them.

  detect PICTURES...      a table; NAME.faces.json; NAME.faces.png with boxes, axes and meshes over the photo
  animate INPUT           characters in place of the people: NAME.glb and NAME.png (a clip: an animated NAME.glb)
  live 0 | CLIP           a camera to VTuber programs (--to vmc), Unreal (--to livelink) or a window, with its latency
  demo                    no input needed: a rendered crowd with known faces, recovered against true
  bench                   how long a frame takes on this machine, by the number of faces

  annotate PHOTOS...      labels of your own photos, a pack to train on    (pip install 'mfn[annotate]')
  fit, validate, test     training through Lightning:  mfn fit --config configs/mfn.yaml    (pip install 'mfn[train]')
  export                  a checkpoint to ONNX
  quantise                that ONNX in 8-bit integers: twice as fast

mfn COMMAND --help says more. Exit codes: 0 done, 1 bad input, 2 usage.
"""

TRAINING = ("fit", "validate", "test")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and gives its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments else ""
    if verb in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if verb == "--version":
        from mfn import __version__

        print(f"mfn {__version__}")
        return 0
    run = _verbs().get(verb)
    if run is None:
        print(HELP, end="", file=sys.stderr)
        print(f"\nmfn: {f'no command {verb!r}' if verb else 'which command?'}", file=sys.stderr)
        return 2
    return guarded(run, arguments[1:])


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command. What its user did wrong is one line, never a traceback."""
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("\nmfn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mfn detect … | head`
        sys.stderr.close()
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (ValueError, OSError, ImportError) as error:
        print(f"mfn: {one_line(error)}", file=sys.stderr)
        return 1
    except MemoryError:
        print("mfn: not enough memory for this input", file=sys.stderr)
        return 1


def one_line(error: BaseException) -> str:
    """What an exception says, without line breaks."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename2 or error.filename}: {error.strerror}"  # of a rename, what was wanted
    return " ".join(str(error).split()) or type(error).__name__


def _verbs() -> dict[str, Callable[[list[str]], int]]:
    own = {"detect": _detect, "animate": _animate, "live": _live, "demo": _demo, "bench": _bench, "annotate": _annotate}
    own |= {"export": _export, "quantise": _quantise}
    return {**own, **{verb: partial(_train, verb) for verb in TRAINING}}


def _parser(verb: str, what: str) -> ArgumentParser:
    from jsonargparse import ArgumentParser

    return ArgumentParser(prog=f"mfn {verb}", description=what)


def _add_network(parser: ArgumentParser, weights: str = "large") -> None:
    parser.add_argument("--score", type=float, default=0.55, help="least probability of a face that is reported")
    parser.add_argument("--size", type=str, default="", help="px the network sees, such as 960x576; more: smaller faces, slower")
    parser.add_argument("--weights", type=str, default=weights, help="small (fast), large, or a network of your own (.onnx)")
    parser.add_argument("--threads", type=int, default=0, help="cores to use; 0 = all")


def _add_tiles(parser: ArgumentParser) -> None:
    text = "pictures: look in overlapping, enlarged tiles too, for the small faces of large group photos; takes seconds a megapixel"
    parser.add_argument("--tiles", action="store_true", help=text)
    text = "with --tiles: px, height of the least face that is looked for; twice as large is four times as fast"
    parser.add_argument("--least", type=float, default=8.0, help=text)


def _add_avatar(parser: ArgumentParser) -> None:
    text = "a rigged .glb, or the name of one of our own; given several times, people take them in turn"
    parser.add_argument("--avatar", type=str, action="append", default=[], help=text)


def _predictor(options):  # type: ignore[no-untyped-def]  # Namespace -> Predictor
    from mfn.predictor import Predictor

    width, cross, height = options.size.lower().partition("x")
    if options.size and not (cross and width.isdecimal() and height.isdecimal()):
        raise ValueError(f"--size {options.size}: expected WIDTHxHEIGHT, such as 640x384")
    size = (int(width), int(height)) if options.size else None
    if options.threads > 0:
        import cv2

        cv2.setNumThreads(options.threads)
    tiles, least_px = options.get("tiles", False), options.get("least", 8.0)
    return Predictor.load(
        options.weights, size=size, score=options.score, threads=options.threads, tiles=tiles, least_px=least_px
    )


def _yes_no(parser: ArgumentParser, name: str, text: str) -> None:
    from jsonargparse import ActionYesNo

    parser.add_argument(f"--{name}", action=ActionYesNo(no_prefix="no-"), default=True, help=text)


def _detect(arguments: list[str]) -> int:
    parser = _parser("detect", "Finds every face in pictures: a table, NAME.faces.json and NAME.faces.png.")
    parser.add_argument("pictures", nargs="+", type=str, help="files, or directories for the pictures in them")
    parser.add_argument("--out", type=str, default=".", help="directory for what is written")
    _yes_no(parser, "json", "write NAME.faces.json")
    _yes_no(parser, "draw", "write NAME.faces.png")
    parser.add_argument("--quiet", action="store_true", help="no table, no progress")
    _add_network(parser)
    _add_tiles(parser)
    options = parser.parse_args(arguments)
    from mfn.commands import detect

    writes = {"json": options.json, "draw": options.draw}
    return detect(_predictor(options), options.pictures, options.out, writes, options.quiet)


def _animate(arguments: list[str]) -> int:
    parser = _parser("animate", "Characters in place of the people in a picture or clip: NAME.glb and NAME.png.")
    parser.add_argument("input", type=str, help="a picture, or a video")
    _add_avatar(parser)
    text = "X.glb (and X.png beside it) or X.png; of a clip X.mp4, with its sound; "
    text += "or a take: X.npz, X.jsonl, X.csv (Live Link Face, a file a person)"
    parser.add_argument("--out", type=str, default=None, help=text)
    text = "most that a key left out of X.glb may change a weight (turns: radians); 0 keeps every frame"
    parser.add_argument("--tolerance", type=float, default=0.002, help=text)
    text = "clips: each person's resting face, as the clip shows it, becomes rest"
    parser.add_argument("--calibrate", action="store_true", help=text)
    parser.add_argument("--resume", action="store_true", help="clips: go on where Ctrl-C stopped")
    text = "names of an avatar's own targets (see retarget inspect --write-map); one for all avatars or one for each"
    parser.add_argument("--map", type=str, action="append", default=[], help=text)
    for joint, what in (("head", "a node's name"), ("neck", "a node's name"), ("eyes", "LEFT,RIGHT")):
        parser.add_argument(f"--{joint}", type=str, default=None, help=f"the avatar's joint, if it is not found: {what}")
    parser.add_argument("--plain", action="store_true", help="the .png on plain ground, not over the photo")
    parser.add_argument("--focal", type=float, default=None, help="focal length in px, if you know it")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    _add_network(parser)
    _add_tiles(parser)
    options = parser.parse_args(arguments)
    from mfn.commands import AnimateOptions, animate

    given = AnimateOptions(
        options.avatar, options.out, options.focal, options.plain, options.quiet, options.tolerance,
        options.calibrate, options.resume, options.map, (options.head, options.neck, options.eyes),
    )
    return animate(_predictor(options), options.input, given)


def _live(arguments: list[str]) -> int:
    parser = _parser("live", "A camera, or a clip as if it were one, to other programs. Drops frames, never queues them.")
    parser.add_argument("input", type=str, help="a camera's number (0 is the first), or a video")
    text = "vmc (VTuber programs), livelink (Unreal), window; one or several"
    parser.add_argument("--to", type=str, nargs="+", default=["window"], help=text)
    parser.add_argument("--host", type=str, default="127.0.0.1", help="where the other program runs")
    parser.add_argument("--port", type=int, default=None, help="its port: 39540 for vmc, 11111 for livelink")
    parser.add_argument("--people", type=int, default=1, help="vmc: so many people, each on a port of their own")
    parser.add_argument("--names", type=str, default="vrm0", help="vmc: vrm0, vrm1, arkit, or your avatar's .vrm")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so long; without it, Ctrl-C")
    parser.add_argument("--quiet", action="store_true", help="no figures in the terminal")
    _add_avatar(parser)
    _add_network(parser, "small")
    options = parser.parse_args(arguments)
    from mfn.live import LiveOptions, live

    given = {name: getattr(options, name) for name in ("to", "host", "port", "people", "names", "seconds", "quiet")}
    return live(_predictor(options), options.input, LiveOptions(**given, avatars=options.avatar))


def _demo(arguments: list[str]) -> int:
    parser = _parser("demo", "Renders a crowd of our own heads with known faces, runs the whole path, compares.")
    parser.add_argument("--out", type=str, default="mfn-demo", help="directory for what is written")
    parser.add_argument("--people", type=int, default=12, help="how many heads")
    parser.add_argument("--seed", type=int, default=0, help="another crowd")
    _add_avatar(parser)
    _add_network(parser)
    options = parser.parse_args(arguments)
    from mfn.demo import demo

    return demo(_predictor(options), options.out, options.people, options.seed, options.avatar)


def _bench(arguments: list[str]) -> int:
    parser = _parser("bench", "How long one 1280 x 720 frame takes on this machine, by the number of faces in it.")
    parser.add_argument("--repeats", type=int, default=20, help="frames to time for each row")
    _add_network(parser, "small")
    parser.set_defaults(threads=1)
    options = parser.parse_args(arguments)
    from mfn.bench import bench

    return bench(_predictor(options), options.repeats)


def _train(verb: str, arguments: list[str]) -> int:
    _needs_train_extra()
    from mfn.training import main as train

    train([verb, *arguments])
    return 0


def _annotate(arguments: list[str]) -> int:
    what = "Labels photos by landmarks and fitting: OUT.npz, OUT.tar and labels/OUT.npz, which `mfn fit` reads. Goes on if stopped."
    parser = _parser("annotate", what)
    parser.add_argument("photos", nargs="+", type=str, help="files, or directories for the pictures in them")
    parser.add_argument("--out", type=str, required=True, help="the pack to write, X.npz")
    parser.add_argument("--landmarker", type=str, default="face_landmarker.task", help="MediaPipe's model file")
    parser.add_argument("--people", type=str, default="unknown", help="folder: the photos of one directory show one person")
    parser.add_argument("--longest", type=int, default=1600, help="px; larger photos are shrunk to it")
    _yes_no(parser, "second-look", "look at each face several times: slower, finds more, steadier")
    parser.add_argument("--photometric", action="store_true", help="fit the photo's colours too, not only landmarks (needs PyTorch3D)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    _add_network(parser)
    parser.set_defaults(score=0.4)
    options = parser.parse_args(arguments)
    from mfn.annotate import AnnotateOptions, annotate

    given = AnnotateOptions(
        options.landmarker, options.second_look, options.longest, options.people, options.quiet, options.photometric
    )
    return annotate(_predictor(options), options.photos, options.out, given)


def _export(arguments: list[str]) -> int:
    _needs_train_extra()
    from mfn.export import main as export

    export(arguments)
    return 0


def _quantise(arguments: list[str]) -> int:
    _needs_train_extra()
    from mfn.quantise import main as quantise

    quantise(arguments)
    return 0


def _needs_train_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "lightning") if find_spec(name) is None]
    if missing:
        what = " and ".join(missing)
        raise ImportError(f"this command needs {what}: pip install 'mfn[train]' (in a checkout: '.[train]')")
