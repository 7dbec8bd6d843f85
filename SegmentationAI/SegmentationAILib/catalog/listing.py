"""Resources/catalog.json and the models that the user imported, read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from SegmentationAILib.catalog import store
from SegmentationAILib.catalog.entry import Entry, Hash, Licence, Memory, ModelFile, ModelInput, name_in_url
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource
from SegmentationAILib.terminology import DICOM_MASTER, Code, Structure

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Catalog:
    """All models.

    Attributes:
        entries: in the file's order, the user's own behind them.
        structures: id -> what it is, shared by all entries.
    """

    entries: Sequence[Entry]
    structures: Mapping[str, Structure]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def entry(self, model_id: str) -> Entry:
        """The model of that id.

        Raises:
            InputError: there is none.
        """
        for one in self.entries:
            if one.id == model_id:
                return one
        raise InputError(f"There is no model '{model_id}'; 'thoraxai models list' shows those that there are.")


def load() -> Catalog:
    """The models that are known, and those that the user imported.

    Raises:
        InputError: the catalogue is missing from this installation, or of a newer version.
    """
    known = _shipped()
    own = []
    for record in store.records():
        if record.own:
            # A record that someone damaged by hand hides its model, not the others.
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                own.append(parsed_own(record.own, known.structures))
    return Catalog((*known.entries, *own), known.structures)


def entry(model_id: str) -> Entry:
    """As ``load().entry``."""
    return load().entry(model_id)


def parsed_own(model: Mapping[str, Any], structures: Mapping[str, Structure]) -> Entry:
    """The entry of a user's model, from what its record holds: a model as in catalog.json that brings what it needs
    of licences and structures.
    """
    licence = {"own": Licence("own", **model["licence"])}
    known = dict(structures) | {key: _structure(value) for key, value in model["structures"].items()}
    rest = {key: value for key, value in model.items() if key not in ("licence", "structures")}
    return parsed(rest | {"licence": "own"}, licence, known)


@lru_cache(maxsize=1)
def _shipped() -> Catalog:
    path = resource("catalog.json")
    if path is None:
        raise InputError("The list of models is missing from this installation; install ThoraxAI again.")
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["format"] > FORMAT:
        raise InputError(
            f"The list of models has format {held['format']}, and this version reads up to {FORMAT}; update ThoraxAI."
        )
    structures = {key: _structure(value) for key, value in held["structures"].items()}
    licences = {key: Licence(key, **value) for key, value in held["licences"].items()}
    return Catalog(tuple(parsed(model, licences, structures) for model in held["models"]), structures)


def parsed(model: Mapping[str, Any], licences: Mapping[str, Licence], structures: Mapping[str, Structure]) -> Entry:
    """One of the catalogue's "models", as the schema describes them."""
    reads = model["input"]
    spacing = reads["spacing_mm"]
    ids = {int(value): key for value, key in model["labels"].items()}
    return Entry(
        id=model["id"],
        title=model["title"],
        task=model["task"],
        kind=model["kind"],
        version=model["version"],
        licence=licences[model["licence"]],
        citation=tuple(model["citation"]),
        source=model["source"],
        input=ModelInput(
            modality=reads["modality"],
            spacing_mm=spacing and tuple(spacing),
            intensity=reads["intensity"],
            slices_mm=reads.get("slices_mm"),
            registered=reads.get("registered", ""),
        ),
        labels={value: structures[key] for value, key in ids.items()},
        label_ids=ids,
        files=tuple(_file(file) for file in model["files"]),
        folder=model.get("folder", model["id"]),
        memory=Memory(**model["memory"]) if model["memory"] else None,
        contains={file["path"]: Hash(**file["hash"]) for file in model.get("contains", ())},
        settings=model.get("settings", {}),
        note=model.get("note", ""),
    )


def _file(file: Mapping[str, Any]) -> ModelFile:
    url = file.get("url") or ""
    return ModelFile(
        name=file.get("path") or file.get("name") or name_in_url(url),
        url=url,
        size=file["bytes"],
        hash=Hash(**file["hash"]) if file["hash"] else None,
        no_hash=file.get("no_hash", ""),
        unpack=file.get("unpack", False),
        unpacked_size=file.get("unpacked_bytes"),
    )


def _structure(held: Mapping[str, Any]) -> Structure:
    codes = {key: Code(held[key][0], "SCT", held[key][1]) for key in _CODES if key in held}
    red, green, blue = held["colour"]
    return Structure(
        held["name"],
        colour=(red / 255, green / 255, blue / 255),
        context=DICOM_MASTER,
        tg263=held.get("tg263", ""),
        **codes,
    )


_CODES = ("category", "type", "type_modifier", "region", "region_modifier")
