"""How wide a margin has to be: six margins, and the published recipes that give them.

Σ is the standard deviation of the systematic errors (preparation: one shift per patient, the same every
day), σ that of the random ones (execution: another shift every day), each along one axis, in mm. Errors
of independent causes are added in quadrature first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from math import hypot, isfinite

from SegmentationAILib.errors import InputError

LARGEST_MM = 100.0

# Standard deviation of the penumbra, taken as a cumulative Gaussian, mm (van Herk et al. 2000 and 2003).
PENUMBRA_WATER_MM = 3.2
PENUMBRA_LUNG_MM = 6.4

# Quantile of the normal distribution at the isodose that shall cover the target: 95 % and 80 %.
BETA_95 = 1.64
BETA_80 = 0.84

# Standard deviation of the breathing position as a share of its amplitude from peak to peak, and the
# amplitude up to which it may be taken as one more random error (van Herk et al. 2003).
BREATHING_SHARE = 0.36
LARGEST_AMPLITUDE_MM = 10.0


@dataclass(frozen=True)
class Margins:
    """Six margins in mm, towards the patient's own sides; negative ones shrink.

    Raises:
        InputError: a margin is not a number or beyond ±100 mm.
    """

    left: float = 0.0
    right: float = 0.0
    anterior: float = 0.0
    posterior: float = 0.0
    superior: float = 0.0
    inferior: float = 0.0

    def __post_init__(self) -> None:
        for side, margin in self.as_sides().items():
            if not isfinite(margin) or abs(margin) > LARGEST_MM:
                raise InputError(
                    f"The {side} margin of {margin:g} mm cannot be used; give a number from "
                    f"-{LARGEST_MM:g} to {LARGEST_MM:g} mm."
                )

    @classmethod
    def isotropic(cls, margin: float) -> Margins:
        """The same margin on all six sides."""
        return cls(*(margin,) * 6)

    @classmethod
    def opposed(cls, lr: float, ap: float, si: float) -> Margins:
        """The same margin on both sides of each axis: left and right, anterior and posterior, superior and inferior."""
        return cls(lr, lr, ap, ap, si, si)

    def as_sides(self) -> dict[str, float]:
        """Side to margin, as ``margins.expand`` takes them."""
        return dict(zip((field.name for field in fields(self)), astuple(self), strict=True))


@dataclass(frozen=True)
class PerAxis:
    """One value in mm for each patient axis: left–right, anterior–posterior, superior–inferior."""

    lr: float
    ap: float
    si: float


Recipe = Callable[[float, float], float]


def per_axis(recipe: Recipe, systematic: PerAxis, random: PerAxis) -> Margins:
    """The margins that a recipe gives axis by axis.

    Args:
        recipe: one of this module's, (Σ, σ) to a margin, all in mm.
        systematic: Σ.
        random: σ.
    """
    return Margins.opposed(*map(recipe, astuple(systematic), astuple(random)))


def van_herk(systematic: float, random: float) -> float:
    """2.5 Σ + 0.7 σ: 90 % of the patients receive at least 95 % of the dose to the whole CTV.

    The linear form; van Herk et al., Int J Radiat Oncol Biol Phys 2000;47:1121–1135.
    """
    _check(systematic, random)
    return 2.5 * systematic + 0.7 * random


def van_herk_full(
    systematic: float, random: float, penumbra: float = PENUMBRA_WATER_MM, beta: float = BETA_95
) -> float:
    """2.5 Σ + β (√(σ² + σp²) − σp): as ``van_herk``, without its straight line through the random part.

    The linear form overstates small random errors, and all of them in lung, where the penumbra σp is
    wide (van Herk et al., Int J Radiat Oncol Biol Phys 2000;47:1121–1135).

    Args:
        systematic: Σ, mm.
        random: σ, mm.
        penumbra: σp, mm: 3.2 in water, 6.4 in lung.
        beta: 1.64 where the 95 % isodose covers the target, 0.84 where the 80 % isodose does, as in
            stereotactic treatments.
    """
    _check(systematic, random, penumbra, beta)
    return 2.5 * systematic + beta * (hypot(random, penumbra) - penumbra)


def stroom(systematic: float, random: float) -> float:
    """2 Σ + 0.7 σ: on average 99 % of the CTV receives at least 95 % of the dose.

    Stroom et al., Int J Radiat Oncol Biol Phys 1999;43:905–919.
    """
    _check(systematic, random)
    return 2.0 * systematic + 0.7 * random


def parker(systematic: float, random: float) -> float:
    """Σ + √(σ² + Σ²): at least 95 % of the dose to the CTV, and all of it to 95 % of its volume.

    Parker et al., Radiother Oncol 2002;62:77–83 (no share of patients is stated).
    """
    _check(systematic, random)
    return systematic + hypot(random, systematic)


def mckenzie_prv(systematic: float, random: float) -> float:
    """1.3 Σ + 0.5 σ: in 90 % of the patients the dose to the organ at risk is not understated.

    For serial and for small parallel organs, with the plus, the wider, of the paper's 1.3 Σ ± 0.5 σ; large
    parallel organs need 1.3 Σ at most (McKenzie, van Herk and Mijnheer, Radiother Oncol 2002;62:299–307).
    """
    _check(systematic, random)
    return 1.3 * systematic + 0.5 * random


def with_breathing(random: float, amplitude: float) -> float:
    """σ with breathing added in quadrature as a random error of a standard deviation of 0.36 of its amplitude.

    Holds where the CT shows the target at its mean position and it moves by less than about 10 mm; wider
    motion blurs the dose asymmetrically and is better put into an internal target volume (van Herk, Witte,
    van der Geer et al., Int J Radiat Oncol Biol Phys 2003;57:1460–1471).

    Args:
        random: σ of all else, mm.
        amplitude: from peak to peak along this axis, mm.

    Raises:
        InputError: the amplitude is above 10 mm.
    """
    _check(random, amplitude)
    if amplitude > LARGEST_AMPLITUDE_MM:
        raise InputError(
            f"Breathing of {amplitude:g} mm is beyond the {LARGEST_AMPLITUDE_MM:g} mm of this recipe; "
            "unite the phases of the 4D CT to an internal target volume instead."
        )
    return hypot(random, BREATHING_SHARE * amplitude)


def _check(*values: float) -> None:
    if not all(isfinite(value) and value >= 0 for value in values):
        raise InputError("A standard deviation is negative or not a number; give each in mm, 0 or more.")
