"""Name maps: what they say about a rig's targets, what is refused, what a draft guesses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.autorig.source_head import REQUIRED
from retarget.cli import main
from retarget.cli.report import list_effects
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import read_glb, write_glb
from retarget.rig.load import load_rig
from retarget.rig.names.name_map import check_name_map, read_rig_map, write_name_map_draft
from tests.helpers.characters import make_face
from tests.helpers.vrms import make_new


def saved(tmp_path, names):
    write_glb(make_face(names), tmp_path / "a.glb")
    return tmp_path / "a.glb"


def row(name):
    return np.eye(52)[[ARKIT_NAMES.index(name)]]


def test_a_map_drives_other_names(tmp_path):
    path = saved(tmp_path, ("Mund_Auf", "LachenL", "CheekL"))
    (tmp_path / "names.json").write_text(
        '{"_remark": 3, "jawOpen": "Mund_Auf", "MouthSmile_L": {"LachenL": 1.0, "skin.CheekL": 0.3}, "tongueOut": null}'
    )
    rig = load_rig(path, tmp_path / "names.json")
    np.testing.assert_allclose(rig.weights(row("jawOpen")), [[1, 0, 0]])
    np.testing.assert_allclose(rig.weights(row("mouthSmileLeft")), [[0, 1, 0.3]], rtol=1e-6)
    assert dict(list_effects(rig))["mouthSmileLeft"] == "skin.LachenL, skin.CheekL 0.3" and rig.undriven == ()
    assert dict(list_effects(rig))["tongueOut"] == "" and "mouthSmileRight" in rig.unmapped
    with pytest.raises(ValueError, match="or a name map: retarget inspect RIG --write-map"):
        load_rig(path)


def test_a_negative_factor_moves_a_target_back(tmp_path):
    rows = {"jawLeft": {"Side": 1}, "jawRight": {"Side": -1}, "tongueOut": {"Tongue": -3}, "curves": {"jawRight": [[0, 0], [1, 1.5]]}}
    rig = load_rig(saved(tmp_path, ("jawOpen", "Side", "Tongue")), rows)
    np.testing.assert_allclose(rig.weights(row("jawLeft"))[0], [0, 1, 0])
    np.testing.assert_allclose(rig.weights(row("jawRight"))[0], [0, -1.5, 0])
    np.testing.assert_allclose(rig.weights(row("tongueOut"))[0], [0, 0, -1])
    np.testing.assert_allclose(rig.weights(row("jawLeft") + row("jawRight"))[0], [0, -0.5, 0])
    assert dict(list_effects(rig))["jawRight"] == "skin.Side -1"


CORRECTING: list[dict[str, Any]] = [
    {"jawOpen": {"Side": 1}, "mouthClose": {"Other": 1, "Side": -0.5}},
    {"jawLeft": {"Side": 1}, "jawRight": {"Side": -1}, "mouthClose": {"Side": -0.5}},
    {"jawOpen": {"Side": 1}, "jawLeft": {"Side": 1}, "mouthClose": {"Side": -0.5}, "jawRight": {"Side": -1}},
]


@pytest.mark.parametrize("rows", CORRECTING)
def test_a_negative_factor_of_another_shape_only_corrects(rows, tmp_path):
    rig = load_rig(saved(tmp_path, ("Side", "Other")), rows)
    assert rig.weights(row("mouthClose"))[0, 0] == 0
    first = next(iter(rows))
    np.testing.assert_allclose(rig.weights(row(first) + row("mouthClose"))[0, 0], 0.5)


def test_what_is_not_in_the_map_stays(tmp_path):
    rig = load_rig(saved(tmp_path, ("jawOpen", "eyeBlinkLeft", "Other")), {"jawOpen": {"Other": 0.5}})
    np.testing.assert_allclose(rig.weights(row("jawOpen") + row("eyeBlinkLeft")), [[0, 1, 0.5]])
    assert rig.undriven == ("jawOpen",)
    assert "jawOpen" in load_rig(tmp_path / "a.glb", {"jawOpen": None}).unmapped


def test_a_map_beats_a_preset(tmp_path):
    write_glb(make_new({"aa": ({"Mouth_A": 1}, {}), "oh": ({"Mouth_O": 1}, {})}), tmp_path / "a.vrm")
    rig = load_rig(tmp_path / "a.vrm", {"jawOpen": "Smile"})
    assert rig.weights(row("jawOpen"))[0].tolist() == [0, 0, 0, 0, 1, 0]
    assert rig.weights(row("mouthFunnel"))[0].tolist() == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "rows, message",
    [
        ({"jawOpne": "Mouth_Open"}, r"'jawOpne' is none of ARKit's 52 names; did you mean 'jawOpen'\?"),
        ({"jawOpen": "Mouth_Opn"}, r"'Mouth_Opn', which is no morph target of it; did you mean 'Mouth_Open'"),
        ({"jawOpen": "xyz"}, "no morph target of it$"),
        ({"jawOpen": 3}, 'jawOpen: expected a target\'s name, {"name": factor'),
        ({"jawOpen": ["Mouth_Open"]}, "jawOpen: expected"),
        ({"jawOpen": {"Mouth_Open": "1"}}, "jawOpen: expected"),
        ({"jawOpen": {"Mouth_Open": 1e9}}, "factor up to 10"),
        ({"jawOpen": {"Mouth_Open": True}}, "jawOpen: expected"),
        ({"jawOpen": "Mouth_Open", "jaw_open": "Mouth_Open"}, "jawOpen is there twice"),
    ],
)
def test_bad_maps_are_one_line(rows, message, tmp_path):
    path = saved(tmp_path, ("Mouth_Open", "SmileL"))
    (tmp_path / "n.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=message) as caught:
        load_rig(path, tmp_path / "n.json")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text, message", [("{", "not JSON"), ("[1]", "expected an object"), ('{"jawOpen": NaN}', "expected"), ("[" * 9999, "not")]
)
def test_bad_files_are_one_line(text, message, tmp_path):
    (tmp_path / "n.json").write_text(text)
    with pytest.raises(ValueError, match=rf"n\.json: .*{message}"):
        read_rig_map(tmp_path / "n.json")
    with pytest.raises(FileNotFoundError, match=r"no such file .*--write-map"):
        read_rig_map(tmp_path / "gone.json")


def test_spellings_and_empty():
    assert check_name_map({"JawOpen": "a", "brow_down_left": {"b": 2}}) == {"jawOpen": {"a": 1.0}, "browDownLeft": {"b": 2.0}}
    assert check_name_map({}) == {}


def test_draft_guesses_and_can_be_given_back(tmp_path):
    names = ("jawOpen", "Mouth_Open", "Smile_L", "smile_right", "Eye_Blink_L", "Blink_R", "Ears", "BrowInner_Up", "Mouth_Frown")
    path, out = saved(tmp_path, names), tmp_path / "names.json"
    assert write_name_map_draft(out, read_glb(path)) == 8
    rows = json.loads(out.read_text())
    assert rows["jawOpen"] == "jawOpen" and rows["mouthSmileLeft"] == "Smile_L" and rows["mouthSmileRight"] == "smile_right"
    assert rows["eyeBlinkLeft"] == "Eye_Blink_L" and rows["eyeBlinkRight"] == "Blink_R" and rows["mouthClose"] is None
    assert rows["browInnerUp"] == "BrowInner_Up" and rows["mouthFrownLeft"] == rows["mouthFrownRight"] == {"Mouth_Frown": 0.5}
    assert rows["_not used"] == ["Mouth_Open", "Ears"] and "Smile_L" in rows["_guessed"]
    assert [name for name in rows if not name.startswith("_")] == list(ARKIT_NAMES)
    rig = load_rig(path, out)
    assert rig.weights(row("mouthFrownRight"))[0].tolist() == [0] * 8 + [0.5]


def test_draft_of_other_names_alone(tmp_path):
    path = saved(tmp_path, ("mouthOpen", "mouthSmile", "A", "B"))
    assert write_name_map_draft(tmp_path / "n.json", read_glb(path)) == 3
    rig = load_rig(path, tmp_path / "n.json")
    assert rig.weights(row("jawOpen") + row("mouthSmileLeft"))[0].tolist() == [1, 0.5, 0, 0] and rig.undriven == ("A", "B")


def test_draft_of_a_vrm_leaves_its_expressions(tmp_path):
    write_glb(make_new({"aa": ({"Mouth_A": 1}, {})}, targets=("Mouth_A", "Jaw_Opn", "cheekPuff")), tmp_path / "a.vrm")
    assert write_name_map_draft(tmp_path / "n.json", read_glb(tmp_path / "a.vrm")) == 1
    rig = load_rig(tmp_path / "a.vrm", tmp_path / "n.json")
    assert rig.weights(row("jawOpen") + row("cheekPuff"))[0].tolist() == [1, 0, 1]


@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "--write-map", "n.json"], ["rig", "--landmarks", "p.json"]])
def test_a_damaged_file_is_one_line_whatever_reads_it(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    glb = make_face(())
    primitive = glb.document["meshes"][0]["primitives"][0]
    count = glb.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
    primitive["attributes"]["TEXCOORD_0"] = add_accessor(glb, np.zeros((count, 2), np.float32), 34962)
    texture = {"index": 0, "extensions": {"KHR_texture_transform": {"rotation": []}}}
    glb.document["materials"][primitive["material"]]["pbrMetallicRoughness"] = {"baseColorTexture": texture}
    write_glb(glb, "a.glb")
    (tmp_path / "p.json").write_text(json.dumps(dict.fromkeys(REQUIRED, 0)))
    assert main([arguments[0], "a.glb", *arguments[1:]]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("retarget: a.glb: damaged glTF, a property is") and captured.err.count("\n") == 1
    assert not (tmp_path / "n.json").exists()
