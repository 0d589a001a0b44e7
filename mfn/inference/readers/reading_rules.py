"""How the values of a face follow from the multi-face network, which found it, and from the readers, which read it once more.

Letters: N faces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Share(NamedTuple):
    """Share of the face reader in a value, 0 to 1, by the height of the face in px of the multi-face network's input.

    From `small_px` to `tall_px` it goes evenly with the logarithm of the height.

    Attributes:
        small_px, small: Faces up to this height, and their share.
        tall_px, tall: Faces from this height on, and their share.
    """

    small_px: float
    small: float
    tall_px: float
    tall: float

    def at(self, height_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the shares for heights (N,)."""
        log = np.log(np.maximum(height_px, 1.0))
        return np.asarray(np.interp(log, np.log([self.small_px, self.tall_px]), [self.small, self.tall]), np.float32)


class ScoreRule(NamedTuple):
    """How the score and the box of a face follow from both networks.

    The first four were chosen by experiments/accuracy/ablation/score_rule.py.

    The probability of a face is sigmoid(dense * d + crop * c + bias) of the logits d of the multi-face network and c of the reader.

    Attributes:
        dense, crop, bias: See above.
        box: Share of the reader in the box, 0 to 1.
        sure: Where no face of a picture has this probability, four other views of it are tried (mfn/inference/input/second_pass.py).
        sure_in_view: A face in one of these views needs this probability, which is above that of other faces: with four views more a
            picture has five chances of a false face instead of one.
    """

    dense: float
    crop: float
    bias: float
    box: float
    sure: float = 0.7
    sure_in_view: float = 0.85


class ReadingRules(NamedTuple):
    """The share of each network in each value.

    Attributes:
        pose, identity, expression: Shares of the face reader; the multi-face network has the rest. Of some shapes only the face reader's
            value is used; see `READER_ALONE`.
        score: How score and box follow.
        squint: Share of the face reader in squints; the eye reader has the rest. A squint also moves the cheek and the brow, which the crop
            of an eye hardly shows.
        spread: How much wider the expressions are spread where both networks count the same (see `mix`).
        portrait: Share of the portrait reader in the values of faces that it reads; the mean of both others has the rest.
        eyes: Share of the face reader and the portrait reader together in lids, gaze and width of eyes that both read; the eye reader has
            the rest, and always what differs between both lids.

    Networks that see a face at different resolutions make different errors, and the mean of both has the smallest, if they are about
    equally good.
    """

    pose: Share
    identity: Share
    expression: Share
    score: ScoreRule
    squint: float = 0.5
    spread: float = 1.0
    portrait: float = 0.6
    eyes: float = 0.3


READER_ALONE = ("eye", "jawLeft", "jawRight", "mouthLeft", "mouthRight", "mouthFrown", "mouthPress", "noseSneer")
"""Of shapes whose name begins like this, the multi-face network's value is not used, also in tall faces. In the mean of both, rare
shapes would come out weak. Frowns would follow the labels of photos a little better (a correlation of 0.57 instead of 0.53, an error of
0.032 instead of 0.038) but move 0.75 times as far. Sneers, which photos hardly show, were judged on rendered heads
(experiments/accuracy/ablation/reader_share.py, experiments/accuracy/expression/follow.py)."""
PORTRAIT_NEVER = ("jawLeft", "jawRight", "mouthFrown")
"""Of shapes whose name begins like this, the portrait reader's value is not used: on held-out photos the face reader's follows the labels
better (a correlation of 0.57 and 0.55 instead of 0.44 and 0.43)."""
RULES = ReadingRules(
    pose=Share(small_px=50, small=0.72, tall_px=120, tall=0.35),
    identity=Share(small_px=50, small=0.5, tall_px=120, tall=0.5),
    expression=Share(small_px=60, small=1.0, tall_px=110, tall=0.6),
    score=ScoreRule(dense=1.0, crop=1.0, bias=-0.8, box=1.0, sure=0.93, sure_in_view=0.91),
    spread=1.1,
)
"""Of the networks `small` and `large`. The shares were chosen with the figures of experiments/accuracy/ablation/reader_share.py. For the
expressions of small faces the gain decided: as the mean of both networks those of 30 px would follow the labels about as well (a
correlation of 0.683 instead of 0.680), but at a gain of 0.62 instead of 0.75. Of tall faces, a share of 0.6 instead of 0.5 costs 0.002 of
the correlation for 0.02 of the gain. `spread` costs 0.001 of the correlation and 0.0006 of the error for 0.047 of the gain; a larger share
of the reader would cost ten times as much of the correlation. `sure` was chosen once on 24 held-out portraits of lfw, turned by 90 to 270
degrees: 73 % got the right roll with 0.7, 94 % with 0.88, 97 % with 0.93. `sure_in_view` is the 0.85 of former rules after the change of
`bias`.

With `portrait` at 0.6 the landmarks of held-out photos are 8 % nearer to those of the labels than without that reader, and expressions
have a correlation of 0.720 instead of 0.699. At 0.85 these would be 11 % and 0.725, but gains would be lower, and faces past 60 degrees
worse, of which these photos have few. With `eyes` at 0.3 the correlation of blinks is 0.87 instead of 0.85, that of eyes that look down
0.78 instead of 0.71. At 0.5 winks and the gaze of rendered heads would come out too weak."""
NO_READER = ScoreRule(dense=1.0, crop=0.0, bias=0.0, box=0.0)
"""Of a multi-face network alone."""
_ALONE = Share(small_px=50, small=1.0, tall_px=120, tall=1.0)
FREE_RULES = ReadingRules(_ALONE, _ALONE, _ALONE, ScoreRule(dense=1.0, crop=1.0, bias=-1.6, box=0.75), squint=0.0, spread=1.1, eyes=0.0)
"""Of the networks `free`, whose multi-face network places faces only roughly. `spread` keeps the gain of expressions that the mean with the
portrait reader would lower. `eyes` is 0 because gaze to the sides would come out too weak. `score` was chosen by
experiments/accuracy/ablation/score_rule.py on photos of crowds for research: three numbers, which hold no photo. `bias` was chosen so
that about ten of 150 photos without faces get a false one there; experiments/accuracy/false_faces.py counts 14."""
