"""One model as the catalogue tells of it: what it does, where its files are, what may be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from SegmentationAILib.terminology import Structure

BUILT_IN, MONAI_BUNDLE, NNUNET, LUNGMASK = KINDS = ("built-in", "monai-bundle", "nnunet", "lungmask")
# Weights hardly shrink in a zip; where the unpacked size is not known, more than this is no model.
_MOST_GROWTH = 4


@dataclass(frozen=True)
class Hash:
    """What a file must hash to.

    Attributes:
        algorithm: of hashlib: "sha256", "sha1" or "md5".
        value: hexadecimal.
        by: "publisher", or "others" where the publisher names none and public projects measured it.
        note: who measured it.
    """

    algorithm: str
    value: str
    by: str = "publisher"
    note: str = ""

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True)
class ModelFile:
    """A file to fetch, or one that comes with the extension.

    Attributes:
        name: of the file in the model's folder; of a built-in model, its path below Resources.
        url: where it is fetched, "" where it comes with the extension or only for a licence number.
        size: bytes, None where no source tells it.
        hash: None where no source tells it.
        no_hash: why there is none.
        unpack: whether it is a zip whose contents, not itself, belong in the model's folder.
        unpacked_size: the most bytes that its contents may have, None where not known.
    """

    name: str
    url: str = ""
    size: int | None = None
    hash: Hash | None = None
    no_hash: str = ""
    unpack: bool = False
    unpacked_size: int | None = None

    def most_unpacked(self, packed: int) -> int:
        """The most bytes that the contents of the zip of ``packed`` bytes may have."""
        return self.unpacked_size or _MOST_GROWTH * packed


@dataclass(frozen=True)
class Licence:
    """What may be done with a model.

    Attributes:
        commercial: whether it may be used for profit without asking.
        terms: the gist in one or two sentences; ``url`` has the whole.
    """

    id: str
    name: str
    url: str
    commercial: bool
    terms: str


@dataclass(frozen=True)
class ModelInput:
    """What a network reads.

    Attributes:
        modality: "CT" or "MR".
        spacing_mm: of its voxels along x, y and z; None where its own files say it.
        intensity: how intensities are scaled, in words.
        slices_mm: the most that slices of its training set were apart, None where no source tells it.
        registered: to which template images must have been registered before, in words; "" where to none.
    """

    modality: str
    spacing_mm: tuple[float, float, float] | None
    intensity: str
    slices_mm: float | None = None
    registered: str = ""


@dataclass(frozen=True)
class Memory:
    """What a run takes, GB; ``of`` says on which image and who measured it."""

    gpu_gb: float
    cpu_gb: float
    of: str


@dataclass(frozen=True, eq=False)
class Entry:
    """A model of the catalogue, or one that the user brought.

    Attributes:
        id: such as "totalsegmentator-total-3mm".
        task: "segmentation", "interactive segmentation", "detection" or "classification".
        kind: one of ``KINDS``; chooses the runner.
        labels: value in the result -> what it is.
        label_ids: value -> id of the structure in the catalogue; "" where the user's model names no known one.
        folder: of the model below the models' folder; entries that share a download share it.
        contains: hashes of files inside the zips, by their path in the model's folder.
        settings: what the runner of this kind needs beyond the model's own files; see the schema.
        note: what a user must know, "" where nothing.
    """

    id: str
    title: str
    task: str
    kind: str
    version: str
    licence: Licence
    citation: Sequence[str]
    source: str
    input: ModelInput
    labels: Mapping[int, Structure]
    label_ids: Mapping[int, str]
    files: Sequence[ModelFile]
    folder: str
    memory: Memory | None = None
    contains: Mapping[str, Hash] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def built_in(self) -> bool:
        return self.kind == BUILT_IN

    @property
    def fetchable(self) -> bool:
        """Whether it can be downloaded without a licence number or a file of the user's own."""
        return bool(self.files) and all(file.url for file in self.files)

    @property
    def size(self) -> int | None:
        """Bytes of the download, None where not known."""
        sizes = [file.size for file in self.files]
        return sum(size for size in sizes if size) if sizes and all(sizes) else None

    @property
    def terms(self) -> str:
        """Licence and citation in a few lines, to be shown before a download."""
        commercial = "commercial use allowed" if self.licence.commercial else "no commercial use"
        lines = [
            f"{self.title} ({self.source})",
            f"Licence: {self.licence.name}, {commercial}. {self.licence.terms} {self.licence.url}",
            *([self.note] if self.note else []),
            "Please cite:",
            *(f"  {line}" for line in self.citation),
        ]
        return "\n".join(lines)


def name_in_url(url: str) -> str:
    """The file's name at the end of an address."""
    return PurePosixPath(url.partition("?")[0]).name
