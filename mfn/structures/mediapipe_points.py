"""Index lists of MediaPipe's face mesh: the 478 points of the landmark set "mediapipe478". The last ten are the irises."""

from __future__ import annotations

OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
"""Outline of the face: a closed loop from the middle of the forehead over the subject's left; 152 is the chin."""
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LOWER_INNER_LIPS = (95, 88, 178, 87, 14, 317, 402, 318, 324)
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
EYELIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)  # fmt: skip
OPPOSITE_POINTS = ((160, 144), (159, 145), (158, 153), (387, 373), (386, 374), (385, 380),
        (82, 87), (13, 14), (312, 317), (78, 308), (61, 291), (0, 17))  # fmt: skip
"""Pairs of opposite points: upper and lower eyelid, right and left; inner lips; corners of the mouth; outer lips."""
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
IRISES = tuple(range(468, 478))
