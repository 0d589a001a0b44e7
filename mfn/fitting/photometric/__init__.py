"""Fit the colors of photos, after their landmarks."""

from mfn.fitting.photometric.rasterizers import INSTALL_HINT as INSTALL_HINT
from mfn.fitting.photometric.rasterizers import Rasterizer as Rasterizer
from mfn.fitting.photometric.rasterizers import has_pytorch3d as has_pytorch3d
from mfn.fitting.photometric.rasterizers import rasterize_numpy as rasterize_numpy
from mfn.fitting.photometric.rasterizers import rasterize_pytorch3d as rasterize_pytorch3d
from mfn.fitting.photometric.refine import PhotometricOptions as PhotometricOptions
from mfn.fitting.photometric.refine import refine as refine
from mfn.fitting.photometric.shading import harmonics as harmonics
from mfn.fitting.photometric.shading import shade_by_region as shade_by_region
from mfn.fitting.photometric.shading import vertex_normals as vertex_normals
