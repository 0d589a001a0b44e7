"""Read one picture into rows of the tables: `PictureReader`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mfn.batch.attributes.measure import measure
from mfn.batch.attributes.thresholds import flags
from mfn.batch.header import read_header
from mfn.batch.sources import printable, read_picture_bytes
from mfn.batch.tables.columns import Rows
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import one_line_error
from retarget.io.image_decoder import MAX_PIXELS
from retarget.io.images import Image, decode_image

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor


class DecodedPicture(NamedTuple):
    """A picture in memory: pixels (H, W, 3) uint8 RGB, size of the file, and EXIF time of the shot."""

    path: str
    pixels: Image
    bytes: int
    taken: str | None


def decode_picture(path: str, max_pixels: int = MAX_PIXELS) -> DecodedPicture:
    """Read and decode a picture from a path or a URL.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no picture, damaged, or of more than `max_pixels`.
    """
    data = read_picture_bytes(path)
    header = read_header(data)
    if header is None and max_pixels < MAX_PIXELS:
        decode_image(data, path)  # which tells why it cannot be read: it reads the same header first
        raise ValueError(f"{path}: its size cannot be read, so it may be larger than the limit (see --max-megapixels)")
    if header is not None and header.pixels > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise ValueError(f"{path}: {header.pixels / 1e6:.1f} megapixels are more than the limit of {limit} (see --max-megapixels)")
    pixels = decode_image(data, path)
    return DecodedPicture(path, pixels, len(data), header.taken if header else None)


def read_rows(predictor: Predictor, pictures: Sequence[DecodedPicture], rows: Rows) -> None:
    """Find the faces of some pictures in one call and add their rows. A picture on which the network fails becomes a failure."""
    try:
        found = predictor([picture.pixels for picture in pictures])
    except (ValueError, MemoryError) as error:
        if len(pictures) > 1:
            for picture in pictures:
                read_rows(predictor, [picture], rows)
        else:
            rows.fail(printable(pictures[0].path), one_line_error(error))
        return
    for number, picture in enumerate(pictures):
        add_picture(predictor, picture, found[found.image == number], rows)


def add_picture(predictor: Predictor, picture: DecodedPicture, faces: Faces, rows: Rows) -> None:
    """Add the rows of one picture."""
    height, width = picture.pixels.shape[:2]
    path, taken = printable(picture.path), picture.taken
    rows.pictures.append({"path": path, "width": width, "height": height, "bytes": picture.bytes, "taken": taken, "faces": len(faces)})
    head = {"path": path, "picture_width": width, "picture_height": height, "taken": taken}
    columns = face_columns(picture.pixels, faces, network_scale(predictor, height, width))
    for i in range(len(faces)):
        row = head | {"face": i}
        row.update((name, values[i]) for name, values in columns.items())
        rows.faces.append(row)


def face_columns(picture: Image, faces: Faces, scale: float) -> dict[str, list[Any]]:
    """Return the columns of the table of faces that are measured: name -> N Python values, in the order of the columns.

    Args:
        picture: (H, W, 3) uint8 RGB.
        faces: N faces in px of the picture.
        scale: Scale at which the network saw the picture.
    """
    measured = measure(picture, faces, scale)
    angles = faces.pitch_yaw_roll_deg
    columns: dict[str, list[Any]] = {name: faces.box[:, i].tolist() for i, name in enumerate(("x1", "y1", "x2", "y2"))}
    columns["score"] = faces.score.tolist()
    columns |= {name: angles[:, i].tolist() for i, name in enumerate(("pitch_deg", "yaw_deg", "roll_deg"))}
    columns["scale_px_per_m"] = faces.scale.tolist()
    columns |= {"center_x": faces.center[:, 0].tolist(), "center_y": faces.center[:, 1].tolist()}
    columns |= {name: getattr(measured, name).tolist() for name in ("face_px", "network_px", "sharpness", "visible", "gaze_deg")}
    columns |= flags(measured, angles[:, 1])
    columns["identity"] = faces.identity.tolist()
    columns |= {name: faces.expression[:, i].tolist() for i, name in enumerate(EXPRESSION_NAMES)}
    return columns


def network_scale(predictor: Any, height: int, width: int) -> float:
    """Return the finest scale at which the network sees a picture of this size; 1 for a stand-in that does not say."""
    passes = getattr(predictor, "passes", None)
    return float(passes(height, width)[0].factor) if passes is not None else 1.0

