"""The operations as data: what the panel, the console and the command line know of each; imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from SegmentationAILib.engine.task import Option
from SegmentationAILib.enhancement.orientation import AXIS_CODES
from SegmentationAILib.errors import InputError

# The task of a worker, and the one of its options that is none of the operation's parameters.
PREPROCESS, OPERATION = "preprocess", "operation"
_HERE = "SegmentationAILib.enhancement"
DENOISE, CONTRAST, BIAS, GRID = "Denoise", "Contrast", "Bias field", "Grid"
KEEPS_HU = "Keeps HU."
FOR_VIEWING = "For viewing, not for measuring: the values are no longer HU."


@dataclass(frozen=True)
class Parameter:
    """What the user may choose of an operation.

    Attributes:
        name: the keyword of ``Operation.run``.
        title, unit, hint: shown to the user.
        default: a number, or one of ``choices``.
        low, high, decimals: of a number.
        choices: of a text.
        special: what the lowest number means, where that is something else.
    """

    name: str
    title: str
    unit: str
    hint: str
    default: float | str
    low: float = 0.0
    high: float = 0.0
    decimals: int = 1
    choices: tuple[str, ...] = ()
    special: str = ""


@dataclass(frozen=True)
class Operation:
    """One way to make a picture better.

    Attributes:
        name: as scripts call it.
        group: one of ``DENOISE``, ``CONTRAST``, ``BIAS``, ``GRID``.
        title, hint: shown to the user.
        values: what becomes of the voxels' values.
        run: ``package.module:function``, called with a Volume, the parameters and ``progress`` by name.
        parameters: in the order of the panel.
        reach: of what tells, of a volume and the parameters, the voxels along (k, j, i) that a voxel's result
            depends on; none where empty.
        overview: of what learns from the whole volume, with the parameters and ``progress``, what a part of it needs
            to become what it would in the whole; ``run`` takes it as ``overview``.
        measured: of what fills in the parameters that are to be measured in the whole volume.
        grey_levels: how many the result has, where these are not on the scale of the volume; 0 where they are.
        on_device: whether ``run`` takes ``device``.
        shows: whether there is anything to see in a preview.
        sketch_step: of what takes long, how many times larger the voxels of a sketch are, which a preview shows
            first; 1 where a preview comes at once.
        sketch: the parameters, and their values, that a sketch takes for those that were chosen.
    """

    name: str
    group: str
    title: str
    hint: str
    values: str
    run: str
    parameters: tuple[Parameter, ...]
    reach: str = ""
    overview: str = ""
    measured: str = ""
    grey_levels: int = 0
    on_device: bool = False
    shows: bool = True
    sketch_step: int = 1
    sketch: tuple[tuple[str, Option], ...] = ()

    @property
    def is_slow(self) -> bool:
        """Whether a preview shows a sketch first."""
        return self.sketch_step > 1 or bool(self.sketch)


def operation(name: str) -> Operation:
    """The operation of that name.

    Raises:
        InputError: there is none.
    """
    if name not in OPERATIONS:
        raise InputError(f"There is no operation '{name}'; choose one of: {', '.join(OPERATIONS)}.")
    return OPERATIONS[name]


def checked(name: str, parameters: Mapping[str, Option]) -> dict[str, Option]:
    """The parameters of an operation, with defaults for those that are not given.

    Raises:
        InputError: there is no such operation or parameter, or a value is out of its range.
    """
    held = operation(name)
    known = {one.name: one for one in held.parameters}
    for key, value in parameters.items():
        if key not in known:
            raise InputError(f"'{name}' has no parameter '{key}'; it has: {', '.join(known)}.")
        _check_value(name, known[key], value)
    return {one.name: parameters.get(one.name, one.default) for one in held.parameters}


def _check_value(name: str, parameter: Parameter, value: Option) -> None:
    if parameter.choices:
        if value not in parameter.choices:
            raise InputError(f"'{value}' is not a choice of '{parameter.name}' of '{name}'; see its documentation.")
    elif isinstance(value, (str, bool)) or value is None or not parameter.low <= value <= parameter.high:
        unit = f" {parameter.unit}" if parameter.unit else ""
        raise InputError(
            f"'{parameter.name}' of '{name}' is {value}; give {parameter.low:g} to {parameter.high:g}{unit}."
        )


_CENTRE = Parameter("centre_hu", "Window centre", "HU", "Value in the middle of the window", 40.0, -2000, 4000, 0)
_WIDTH = Parameter("width_hu", "Window width", "HU", "From black to white", 400.0, 1, 8000, 0)
_SIZES = tuple(
    Parameter(name, title, "mm", "Size of a voxel along this direction of the patient", 1.0, 0.1, 20.0, 2)
    for name, title in (
        ("left_right_mm", "Left to right"),
        ("front_back_mm", "Front to back"),
        ("head_foot_mm", "Head to foot"),
    )
)

OPERATIONS = {
    one.name: one
    for one in (
        Operation(
            "median",
            DENOISE,
            "Median",
            "Takes away single grains and keeps straight edges.",
            KEEPS_HU,
            f"{_HERE}.denoise:median",
            (Parameter("radius_mm", "Radius", "mm", "Half the side of the box", 1.0, 0.1, 5.0),),
            reach=f"{_HERE}.denoise:median_reach",
        ),
        Operation(
            "gaussian",
            DENOISE,
            "Gaussian",
            "Softens noise and edges alike.",
            KEEPS_HU,
            f"{_HERE}.denoise:gaussian",
            (Parameter("sigma_mm", "Standard deviation", "mm", "More is softer", 0.8, 0.1, 10.0),),
            reach=f"{_HERE}.denoise:gaussian_reach",
        ),
        Operation(
            "curvature flow",
            DENOISE,
            "Curvature flow",
            "Dissolves grains up to a size and keeps smooth edges.",
            KEEPS_HU,
            f"{_HERE}.denoise:curvature_flow",
            (Parameter("radius_mm", "Grains up to", "mm", "Radius of what is dissolved", 1.0, 0.1, 5.0),),
            reach=f"{_HERE}.denoise:flow_reach",
            sketch_step=2,
        ),
        Operation(
            "non-local means",
            DENOISE,
            "Non-local means",
            "Averages like with like: keeps edges and fine vessels best, and takes longest.",
            KEEPS_HU,
            f"{_HERE}.non_local_means:non_local_means",
            (
                Parameter("noise_hu", "Noise", "HU", "Standard deviation", 0.0, 0.0, 500.0, 0, special="measured"),
                Parameter("strength", "Strength", "", "More averages what is less alike", 1.0, 0.2, 3.0),
                Parameter("reach_mm", "Reach", "mm", "How far away like voxels are looked for", 2.0, 0.5, 8.0),
            ),
            reach=f"{_HERE}.non_local_means:reach",
            measured=f"{_HERE}.non_local_means:with_noise",
            on_device=True,
        ),
        Operation(
            "window",
            CONTRAST,
            "Window",
            "Values outside the window become its ends.",
            "Keeps HU within the window.",
            f"{_HERE}.contrast:window",
            (_CENTRE, _WIDTH),
        ),
        Operation(
            "histogram equalisation",
            CONTRAST,
            "Histogram equalisation",
            "Spreads the grey levels over the values that are there.",
            FOR_VIEWING,
            f"{_HERE}.contrast:equalise",
            (_CENTRE, _WIDTH),
            overview=f"{_HERE}.contrast:sampled",
            grey_levels=256,
        ),
        Operation(
            "CLAHE",
            CONTRAST,
            "Local contrast (CLAHE)",
            "Histogram equalisation tile by tile, with a limit that keeps noise down.",
            FOR_VIEWING,
            f"{_HERE}.contrast:clahe",
            (
                # From air to bone: lungs and soft tissue show at once.
                replace(_CENTRE, default=-300.0),
                replace(_WIDTH, default=1400.0),
                Parameter("tile_mm", "Tile", "mm", "Size of the parts that are equalised", 40.0, 10, 500, 0),
                Parameter("clip", "Limit", "×", "Most that contrast is raised; less is calmer", 4.0, 1.0, 20.0),
            ),
            overview=f"{_HERE}.contrast:sampled",
            grey_levels=256,
        ),
        Operation(
            "N4",
            BIAS,
            "N4 bias correction",
            "Takes away brightness that varies slowly, as in MR.",
            FOR_VIEWING,
            f"{_HERE}.bias_field:n4",
            (
                Parameter("scale_mm", "Finest scale", "mm", "Faster variation is left", 100.0, 20, 500, 0),
                Parameter("iterations", "Iterations", "", "Most at each level", 30, 1, 200, 0),
            ),
            overview=f"{_HERE}.bias_field:bias_field",
            sketch=(("iterations", 1),),
        ),
        Operation(
            "resample",
            GRID,
            "Resample",
            "Voxels of another size; larger ones average.",
            KEEPS_HU,
            f"{_HERE}.regrid:to_spacing",
            _SIZES,
            reach=f"{_HERE}.regrid:reach",
        ),
        Operation(
            "reorient",
            GRID,
            "Reorient",
            "Another order of the voxels; the picture stays the same.",
            KEEPS_HU,
            f"{_HERE}.regrid:reorient",
            (
                Parameter(
                    "codes",
                    "Axes",
                    "",
                    "Where the voxels' three axes run: R right, L left, A front, P back, S head, I foot",
                    "RAS",
                    choices=AXIS_CODES,
                ),
            ),
            shows=False,
        ),
    )
}
