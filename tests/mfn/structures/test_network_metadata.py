"""The metadata of networks in ONNX files: written and read back, and clear errors."""

import pytest

from mfn.structures.network_metadata import FORMAT, FaceRange, NetworkMetadata, Size


def test_metadata_is_read_back():
    metadata = NetworkMetadata("multi_face", Size(864, 496), ("refiner", "down"))
    assert NetworkMetadata.from_props(metadata.to_props()) == metadata


def test_all_entries_are_read_back():
    metadata = NetworkMetadata(
        "multi_face",
        Size(960, 544),
        strides=(8, 16, 32, 64, 128),
        input_multiple=32,
        face_range=FaceRange(8.0, 700.5),
    )
    assert NetworkMetadata.from_props(metadata.to_props()) == metadata


def test_an_older_file_has_the_default_strides():
    old = NetworkMetadata.from_props({"format": "1", "kind": "multi_face", "input_size": "864x496"})
    assert old == NetworkMetadata("multi_face", Size(864, 496)) and old.strides == (8, 16, 32, 64)


def test_a_file_without_metadata_has_none():
    assert NetworkMetadata.from_props({"author": "somebody"}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "99"}, f"expected format {FORMAT}, got '99'"),
        ({"kind": "cells"}, "expected a kind of multi_face, .* got 'cells'"),
        ({"input_size": "864"}, "expected an input_size such as 864x496, got '864'"),
        ({"strides": "8,x"}, "expected strides to be one or more whole numbers above 0, .* got '8,x'"),
        ({"input_multiple": "0"}, "expected input_multiple to be 1 whole number above 0, .* got '0'"),
        ({"face_range": "8"}, "expected face_range to be 2 numbers above 0, .* got '8'"),
    ],
)
def test_wrong_entries_are_refused(change, message):
    props = NetworkMetadata("parameters", Size(128, 128)).to_props()
    with pytest.raises(ValueError, match=message):
        NetworkMetadata.from_props({**props, **change})
