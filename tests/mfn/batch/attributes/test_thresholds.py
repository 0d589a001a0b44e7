import numpy as np

from mfn.batch.attributes.measure import Attributes
from mfn.batch.attributes.thresholds import FLAG_NAMES, Threshold, Thresholds, default_thresholds, flags

ALL = Thresholds(
    {
        "eyes_closed": Threshold(0.5, 40, 30, 0.8),
        "smile": Threshold(0.3, 20, 60, 0.5),
        "looking_at_camera": Threshold(10, 60, 40, 0.8),
    },
    0.2,
)


def attributes(**values) -> Attributes:
    names = Attributes.__dataclass_fields__
    usual = {"face_px": 100, "network_px": 100, "sharpness": 0.5, "visible": 1, "gaze_deg": 0, "eyes_closed": 0, "smile": 0}
    assert usual.keys() == names.keys()
    return Attributes(**{name: np.array([values.get(name, usual[name])], np.float32) for name in names})


def of(yaw=0.0, **values) -> tuple:
    found = flags(attributes(**values), np.array([yaw]), ALL)
    return tuple(found[name][0] for name in FLAG_NAMES)


def test_flags():
    assert of() == (False, False, True)
    assert of(eyes_closed=0.5, smile=0.3, gaze_deg=11) == (True, True, False)


def test_unknown_where_the_face_is_small_turned_or_hidden():
    assert of(network_px=50) == (False, False, None)
    assert of(network_px=30) == (None, False, None)
    assert of(yaw=-35) == (None, False, True)
    assert of(visible=0.6) == (None, False, None)


def test_the_thresholds_that_ship():
    shipped = default_thresholds()
    assert set(shipped.flags) == set(FLAG_NAMES) and 0 < shipped.blurred < 1
    assert all(t.min_network_px > 0 and 0 < t.max_yaw_deg <= 90 and 0 < t.min_visible <= 1 for t in shipped.flags.values())
