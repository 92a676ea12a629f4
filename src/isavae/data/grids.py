"""The factors of published data sets, which their drawn stand-ins share."""

from dataclasses import replace

from isavae.data.factors import FactorGrid

DSPRITES = FactorGrid(
    names=("shape", "scale", "orientation", "posX", "posY"),
    sizes=(3, 6, 40, 32, 32),
    scored=("scale", "orientation", "posX", "posY"),
    ordered=("scale", "orientation", "posX", "posY"),
    categories={"shape": ("square", "ellipse", "heart")},
)
FACES3D = FactorGrid(
    names=("identity", "azimuth", "elevation", "lighting"),
    sizes=(50, 21, 11, 11),
    scored=("azimuth", "elevation", "lighting"),
    ordered=("azimuth", "elevation", "lighting"),
)
CARS3D = FactorGrid(
    names=("elevation", "azimuth", "object"),
    sizes=(4, 24, 183),
    ordered=("elevation", "azimuth"),
)
SHAPES3D = FactorGrid(
    names=("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
    sizes=(10, 10, 10, 8, 4, 15),
    ordered=("floor_hue", "wall_hue", "object_hue", "scale", "orientation"),
)
# The published file does not name its shapes.
ROOMS3D = replace(SHAPES3D, categories={"shape": ("cube", "cylinder", "sphere", "capsule")})
MPI3D = FactorGrid(
    names=("color", "shape", "size", "camera_height", "background", "horizontal", "vertical"),
    sizes=(6, 6, 2, 3, 3, 40, 40),
    ordered=("size", "camera_height", "horizontal", "vertical"),
)
SMALLNORB = FactorGrid(
    names=("category", "instance", "elevation", "azimuth", "lighting"),
    sizes=(5, 5, 9, 18, 6),
    ordered=("elevation", "azimuth"),
    categories={"category": ("animal", "human", "plane", "truck", "car")},
)
