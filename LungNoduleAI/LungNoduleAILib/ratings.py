"""What a nodule resembles, in the words of the radiologists who rated the LIDC's nodules.

A rating is a radiologist's impression of a picture, not a finding in tissue: in LIDC nobody checked
"malignancy" against pathology. Research use; the clinician decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from LungNoduleAILib.appearance import appearance
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.nodule_crop import crop_nodule, cube
from LungNoduleAILib.rating_network import GRADES, RATINGS, SIDE, RatingNetwork, predict
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource
from SegmentationAILib.volume import Volume

WEIGHTS = "Models/nodule-ratings.safetensors"

# LIDC's words for grades 1…5 (McNitt-Gray et al., Acad Radiol 2007); it has none for some between.
WORDS = {
    "malignancy": (
        "highly unlikely to be malignant",
        "moderately unlikely to be malignant",
        "of indeterminate malignancy",
        "moderately suspicious",
        "highly suspicious",
    ),
    "texture": (
        "ground glass",
        "between ground glass and part-solid",
        "part-solid",
        "between part-solid and solid",
        "solid",
    ),
    "spiculation": ("not spiculated", "hardly spiculated", "somewhat spiculated", "spiculated", "markedly spiculated"),
    "lobulation": ("not lobulated", "hardly lobulated", "somewhat lobulated", "lobulated", "markedly lobulated"),
    "margin": ("poorly defined", "rather poorly defined", "of medium definition", "nearly sharp", "sharply defined"),
    "sphericity": ("linear", "between linear and ovoid", "ovoid", "between ovoid and round", "round"),
}


@dataclass(frozen=True)
class Grade:
    """One rating on LIDC's scale of 1…5.

    Attributes:
        rating: its name, one of ``RATINGS``.
        probabilities: of the grades 1…5, sum 1.
    """

    rating: str
    probabilities: tuple[float, ...]

    @property
    def value(self) -> float:
        """Expected grade, 1…5."""
        return sum(n * p for n, p in enumerate(self.probabilities, start=1))

    @property
    def deviation(self) -> float:
        """Standard deviation of the grade: how far a radiologist's grade may be from the value."""
        return sum((n - self.value) ** 2 * p for n, p in enumerate(self.probabilities, start=1)) ** 0.5

    @property
    def text(self) -> str:
        """For the user: what it resembles, how sure that is."""
        likeliest = max(range(GRADES), key=self.probabilities.__getitem__)
        return (
            f"resembles what radiologists called {WORDS[self.rating][likeliest]} "
            f"({self.rating} {self.value:.1f} ± {self.deviation:.1f} of 5)"
        )


@dataclass(frozen=True)
class Ratings:
    """What the readers of the LIDC would probably have said of a nodule.

    Attributes:
        grades: one for each of ``RATINGS``, in their order.
        calcification: 0…1, probability that they saw calcium.
    """

    grades: tuple[Grade, ...]
    calcification: float

    def __getitem__(self, rating: str) -> Grade:
        return self.grades[RATINGS.index(rating)]

    @property
    def malignancy(self) -> Grade:
        """A radiologist's suspicion, not a probability of cancer."""
        return self["malignancy"]

    @property
    def text(self) -> tuple[str, ...]:
        """A sentence for each rating."""
        seen = "calcified" if self.calcification >= 0.5 else "not calcified"
        calcium = f"resembles what radiologists called {seen} (probability of calcium {self.calcification:.0%})"
        return tuple(sentence[0].upper() + sentence[1:] + "." for sentence in [*(g.text for g in self.grades), calcium])


def rate(
    volume: Volume,
    nodule: Nodule | NoduleMask,
    *,
    networks: Sequence[RatingNetwork] | None = None,
    device: str | torch.device = "cpu",
) -> Ratings:
    """Rate a nodule as the readers of the LIDC would.

    The networks' probabilities are averaged over the networks and over 16 flips and turns, so that
    the result does not depend on how the scan lies.

    Args:
        volume: CT, HU.
        nodule: a nodule with its mask, or the mask.
        networks: what rates; the networks that ship with the extension if not given.
        device: a torch device or its name.

    Raises:
        InputError: no volume or nodule, not a CT, an empty mask, a mask outside the volume, or no
            weights where they are needed.
    """
    if volume is None:
        raise InputError("No volume is selected; choose the CT volume that the nodule was found in.")
    if volume.modality not in ("", "CT"):
        raise InputError(f"The volume is {volume.modality}, not CT; choose a CT volume.")
    mask = nodule.mask if isinstance(nodule, Nodule) else nodule
    if mask is None:
        raise InputError("No nodule is selected; choose one of the table.")
    networks = shipped_networks() if networks is None else networks
    place = torch.device(device) if isinstance(device, torch.device) else choose_device(device)
    crop = crop_nodule(volume, mask)
    views = cube(crop.hu, SIDE)[None], cube(crop.occupancy, SIDE, fill=0.0)[None], appearance(crop)[None]
    grades, calcification = predict(networks, *views, device=place)
    return Ratings(
        tuple(Grade(r, tuple(float(p) for p in row)) for r, row in zip(RATINGS, grades[0], strict=True)),
        float(calcification[0]),
    )


@cache
def shipped_networks() -> tuple[RatingNetwork, ...]:
    """The networks that come with the extension.

    Raises:
        InputError: they were not installed.
    """
    path = resource(WEIGHTS)
    if path is None:
        raise InputError(f"The weights of the nodule ratings ({WEIGHTS}) are missing; install the extension again.")
    return load_networks(path)


def load_networks(path: Path) -> tuple[RatingNetwork, ...]:
    """The networks in a file of weights; names begin with the network's number.

    Raises:
        InputError: the file cannot be read or holds other weights.
    """
    try:
        weights = load_file(path)
        count = 1 + max(int(name.split(".", 1)[0]) for name in weights)
        networks = tuple(RatingNetwork() for _ in range(count))
        for n, network in enumerate(networks):
            own = {name.split(".", 1)[1]: w.float() for name, w in weights.items() if name.startswith(f"{n}.")}
            network.load_state_dict(own)
            network.eval()
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The file {path.name} holds no weights of the nodule ratings; install the extension again."
        ) from error
    return networks
