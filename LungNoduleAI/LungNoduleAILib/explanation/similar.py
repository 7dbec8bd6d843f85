"""Nodules of the training set that look like a nodule, by numbers for how they look."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812 - an exception

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.appearance import FEATURES, appearance
from LungNoduleAILib.explanation.result import Similar
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.nodule_crop import crop_nodule
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource
from SegmentationAILib.volume import Volume
from SegmentationAILib.writing import atomic_write

# Of a picture: 36 mm of 0.75 mm each, square.
PICTURE_SIDE, PICTURE_MM = 48, 0.75
# A number that far from the middle says no more than one at it.
_MOST_DEVIATIONS = 4.0
_MISSING = "The built-in similar nodules are missing or damaged; install ThoraxAI again."


@dataclass(frozen=True, eq=False)
class Gallery:
    """Nodules to compare with.

    Attributes:
        look: float32 [nodule, feature], ``appearance.FEATURES`` of each in its readers' outline.
        name: str [nodule], as ``Similar.name``.
        readers: str [nodule], what the radiologists called it.
        diameter_mm: float32 [nodule], of the ball with its volume.
        picture: uint8 [nodule, 48, 48], as ``Similar.picture``.
    """

    look: NDArray[np.float32]
    name: NDArray[np.str_]
    readers: NDArray[np.str_]
    diameter_mm: NDArray[np.float32]
    picture: NDArray[np.uint8]

    def __post_init__(self) -> None:
        counts = {len(getattr(self, field.name)) for field in fields(self)}
        if len(counts) != 1 or self.look.shape[1:] != (len(FEATURES),):
            raise ValueError("the gallery's parts do not fit each other")

    def nearest(self, look: NDArray[np.float32], count: int = 5) -> tuple[Similar, ...]:
        """The most similar first.

        Args:
            look: [feature] of ``appearance``.
            count: at the most.
        """
        distance = distances(self.look, look)
        return tuple(
            Similar(
                str(self.name[n]),
                float(distance[n]),
                float(self.diameter_mm[n]),
                str(self.readers[n]),
                self.picture[n],
            )
            for n in np.argsort(distance, kind="stable")[:count]
        )


def similar_nodules(
    volume: Volume, mask: NoduleMask, count: int = 5, gallery: Gallery | None = None
) -> tuple[Similar, ...]:
    """The nodules of the training set that look most like a nodule, the most similar first.

    Args:
        volume: CT, HU.
        mask: of the nodule.
        count: at the most.
        gallery: the nodules that come with the extension if not given.

    Raises:
        InputError: the mask is empty or lies outside the volume, or the nodules to compare with are missing.
    """
    gallery = gallery or shipped_gallery()
    return gallery.nearest(appearance(crop_nodule(volume, mask)), count)


@cache
def shipped_gallery() -> Gallery:
    """The nodules that come with the extension: LIDC-IDRI, training part.

    Raises:
        InputError: they were not installed, or are damaged.
    """
    path = resource("Models/similar-nodules.npz")
    if path is None:
        raise InputError(_MISSING)
    return read_gallery(path)


def read_gallery(path: Path) -> Gallery:
    """Read what ``write_gallery`` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            return Gallery(**{field.name: held[field.name] for field in fields(Gallery)})
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, ZlibError) as error:
        raise InputError(_MISSING) from error


def write_gallery(gallery: Gallery, path: Path) -> Path:
    """Write a gallery as ``.npz``; the same gallery gives the same bytes.

    Raises:
        InputError: the folder cannot be written to.
    """
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **{field.name: getattr(gallery, field.name) for field in fields(Gallery)})
    return path


def distances(among: NDArray[np.float32], look: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of nodules [nodule, feature] to one [feature].

    Returns:
        [nodule], root mean square over the features, each in standard deviations of the nodules.
    """
    deviation = np.maximum(among.std(axis=0), 1e-6)
    apart = np.clip((np.vstack([among, look]) - among.mean(axis=0)) / deviation, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    return np.sqrt(((apart[:-1] - apart[-1]) ** 2).mean(axis=1, dtype=np.float64))
