"""The head model: identity and expression coefficients in, vertices out. Also readers of other head models, and maps between them."""

from mfn.structures.head_model.box import face_box as face_box
from mfn.structures.head_model.coefficient_map import CoefficientMap as CoefficientMap
from mfn.structures.head_model.coefficient_map import MapOptions as MapOptions
from mfn.structures.head_model.file import DEFAULT_FILE as DEFAULT_FILE
from mfn.structures.head_model.file import FORMAT as FORMAT
from mfn.structures.head_model.file import round_to_grid as round_to_grid
from mfn.structures.head_model.model import HeadModel as HeadModel
from mfn.structures.head_model.model import LandmarkBasis as LandmarkBasis
from mfn.structures.head_model.model import LandmarkSet as LandmarkSet
from mfn.structures.head_model.model import default_head_model as default_head_model
