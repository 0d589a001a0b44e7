"""The verbs of `retarget`."""

from __future__ import annotations

from retarget.io.verbs import Program, Verb

_DESCRIPTION = "Put face performances (takes) on characters (glTF rigs and VRM avatars)."

PROGRAM = Program(
    name="retarget",
    description=_DESCRIPTION,
    verbs={
        "inspect": Verb("RIG", "list what each of ARKit's 52 coefficients moves in a character", "retarget.cli.inspect"),
        "animate": Verb("TAKE [RIG...]", "write a scene of animated characters", "retarget.cli.animate"),
        "render": Verb("TAKE [RIG...]", "draw one moment as an image", "retarget.cli.render"),
        "convert": Verb("TAKE --out FILE", "write a take as .npz, .jsonl, .csv, .txt or .vrma", "retarget.cli.convert"),
        "calibrate": Verb("TAKE", "subtract each person's neutral face", "retarget.cli.calibrate"),
        "rig": Verb("MESH --landmarks POINTS.json", "make ARKit's shapes for a head mesh that has none", "retarget.cli.rig", "rig"),
        "stream": Verb("TAKE", "play a take to VTuber programs or Unreal", "retarget.cli.stream", "stream"),
        "record": Verb("TAKE --phone ADDRESS", "record a take from the phone app iFacialMocap", "retarget.cli.record"),
    },
    old_names={},
    other_programs=dict.fromkeys(("detect", "live", "demo"), "mfn"),
)
