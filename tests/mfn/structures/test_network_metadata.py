"""The metadata of networks in ONNX files: written and read back, and clear errors."""

import pytest

from mfn.structures.network_metadata import FORMAT, NetworkMetadata, Size


def test_metadata_is_read_back():
    metadata = NetworkMetadata("multi_face", Size(864, 496), ("refiner", "down"))
    assert NetworkMetadata.from_props(metadata.to_props()) == metadata


def test_a_file_without_metadata_has_none():
    assert NetworkMetadata.from_props({"author": "somebody"}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "99"}, f"expected format {FORMAT}, got '99'"),
        ({"kind": "cells"}, "expected a kind of multi_face, .* got 'cells'"),
        ({"input_size": "864"}, "expected an input_size such as 864x496, got '864'"),
    ],
)
def test_wrong_entries_are_refused(change, message):
    props = NetworkMetadata("parameters", Size(128, 128)).to_props()
    with pytest.raises(ValueError, match=message):
        NetworkMetadata.from_props({**props, **change})
