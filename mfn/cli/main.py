"""The `mfn` command: its verbs. A verb's own module is imported only when the verb is used."""

from __future__ import annotations

from collections.abc import Sequence

from retarget.io.verbs import Program, Verb

VERBS = {
    "detect": Verb("PICTURES...", "find every face: a table, NAME.faces.json and NAME.faces.png", "mfn.cli.detect"),
    "batch": Verb("PHOTOS_OR_URLS... --out FACES.parquet", "the faces of many photos as a table", "mfn.cli.batch"),
    "pick": Verb("SHOTS...", "the best shot of a group: who blinks, smiles, looks away", "mfn.cli.pick"),
    "animate": Verb("PICTURE|CLIP", "put characters in the places of the people: NAME.glb, NAME.characters.png", "mfn.cli.animate"),
    "live": Verb("CAMERA|CLIP", "drive VTuber programs, Unreal or a window; camera 0 is the first", "mfn.cli.live"),
    "studio": Verb("", "a page in the browser: photos, clips, webcam and characters", "mfn.cli.studio.command", "studio"),
    "demo": Verb("", "try everything without a photo, on a rendered crowd of known faces", "mfn.cli.demo"),
    "bench": Verb("", "measure the time of a frame on this machine", "mfn.cli.bench"),
    "annotate": Verb(
        "PHOTOS... --out X.npz", "label your own photos, as training data", "mfn.cli.training.annotate", "annotate"
    ),
    "fit": Verb(
        "--config FILE.yaml", "train a network, such as --config configs/mfn/default.yaml", "mfn.cli.training.train", "train"
    ),
    "validate": Verb("--config FILE.yaml", "measure a network on the validation data", "mfn.cli.training.train", "train"),
    "test": Verb("--config FILE.yaml", "measure a network on the test data", "mfn.cli.training.train", "train"),
    "predict": Verb(
        "PHOTOS... --config FILE.yaml --ckpt_path FILE.ckpt",
        "the faces that a training checkpoint finds",
        "mfn.cli.training.predict",
        "train",
    ),
    "export": Verb(
        "--config FILE.yaml --checkpoint FILE.ckpt",
        "convert a training checkpoint to an ONNX file for --weights",
        "mfn.cli.training.export",
        "train",
    ),
    "quantize": Verb(
        "NETWORK.onnx PICTURES...", "convert an ONNX file to 8-bit integers: twice as fast", "mfn.cli.training.export", "train"
    ),
}
OLD_NAMES = {"quantise": "quantize"}
PROGRAM = Program(
    name="mfn",
    description="Find all faces of a picture in one pass, then read each face once more: box, head pose, identity and 51 ARKit\n"
    "expression weights. Drive characters with them.",
    verbs=VERBS,
    old_names=OLD_NAMES,
    other_programs=dict.fromkeys(("inspect", "render", "convert", "calibrate", "rig", "stream"), "retarget"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name; None: that of this process) and return the exit code."""
    return PROGRAM.main(argv)
