"""A model from a zip, a weights file or a folder on this computer: for machines without a network, and users' own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from SegmentationAILib.catalog import pins
from SegmentationAILib.catalog.archive import check_room, unpack
from SegmentationAILib.catalog.entry import Entry, ModelFile
from SegmentationAILib.catalog.integrity import check_contents
from SegmentationAILib.catalog.listing import load, parsed_own
from SegmentationAILib.catalog.own_model import Training, describe
from SegmentationAILib.catalog.store import Origin, hash_of, models_folder
from SegmentationAILib.catalog.workshop import Workshop, land, workshop
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

_MAKING = "own-model-in-the-making"
_BLOCK = 1 << 20


def import_local(
    entry: Entry | None,
    path: str | Path,
    *,
    training: Training | None = None,
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> Path:
    """Install a model from this computer; what ``path`` names is copied and stays as it is.

    Args:
        entry: the catalogue's model that it is: its zip or weights file as published (the hash is checked), a folder
            with all of its zips, or the folder that they unpack to. None for a model of the user's own: a folder or
            zip with one network of nnU-Net v2, or one MONAI bundle that segments or detects; the catalogue lists it
            from then on.
        path: zip, weights file or folder.
        training: folds and checkpoint of a user's own nnU-Net.
        progress: told of each file; its token cancels.

    Returns:
        The model's folder; its name is the id of a user's own model.

    Raises:
        InputError: it is not that model, damaged, not whole, of no known kind or without labels; nothing is left then.
        Cancelled: the user cancelled.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"'{path}' does not exist; check the path.")
    if entry is None:
        return _import_own(path, training, progress)
    if training is not None:
        raise InputError(f"Folds and checkpoints of '{entry.id}' are set; they are chosen of your own models only.")
    if entry.built_in:
        raise InputError(f"'{entry.id}' comes with ThoraxAI; it needs no import.")
    check_room(models_folder(), _size(path))
    with workshop(entry.folder) as places:
        origins = list(_bring(entry, path, places, progress.part(0.0, 0.8)))
        check_contents(entry, places.made, progress.part(0.8, 0.9))
        sharing = [one.id for one in load() if one.folder == entry.folder] or [entry.id]
        return land(places, entry, sharing, origins, progress.part(0.9, 1.0))


def _bring(entry: Entry, path: Path, places: Workshop, progress: Progress) -> Iterator[Origin]:
    """Copy or unpack what makes the model into its folder."""
    if path.is_file():
        if len(entry.files) != 1:
            names = ", ".join(file.name for file in entry.files)
            raise InputError(f"'{entry.id}' is made of {len(entry.files)} files; give a folder with {names}.")
        yield _bring_file(entry.files[0], path, places, progress)
    elif all((path / file.name).is_file() for file in entry.files):
        for n, file in enumerate(entry.files):
            part = progress.part(n / len(entry.files), (n + 1) / len(entry.files))
            yield _bring_file(file, path / file.name, places, part)
    else:
        for top, source in _folders(entry, path).items():
            _copy(source, places.made / top, progress)
        yield Origin(path.name)


def _bring_file(file: ModelFile, path: Path, places: Workshop, progress: Progress) -> Origin:
    """One of the publisher's files, from this computer."""
    size = path.stat().st_size
    pinned = pins.of(file.url)
    algorithm, expected = (file.hash.algorithm, file.hash.value) if file.hash else ("sha256", pinned)
    found = hash_of(path, algorithm, progress.part(0.0, 0.3))
    if expected not in (None, found):
        raise InputError(
            f"'{path.name}' was refused: it is {algorithm}:{found}, and '{file.name}' must be {algorithm}:{expected}; "
            "copy it again."
        )
    if file.size not in (None, size):
        raise InputError(f"'{path.name}' was refused: it has {size:,} bytes, and '{file.name}' has {file.size:,}.")
    sha256 = found if algorithm == "sha256" else hash_of(path, "sha256", progress.part(0.3, 0.5))
    if file.unpack:
        unpack(path, places.made, file.most_unpacked, progress.part(0.5, 1.0))
    else:
        _copy(path, places.made / file.name, progress.part(0.5, 1.0))
    by = file.hash.by if file.hash else pins.FIRST_USE if pinned else ""
    return Origin(path.name, "", size, sha256, f"{algorithm}:{expected}" if expected else "", by)


def _folders(entry: Entry, path: Path) -> dict[str, Path]:
    """Name in the model's folder -> where it lies, of a model that was unpacked already.

    Raises:
        InputError: something is missing.
    """
    inner = [*entry.contains, *(part["folder"] for part in entry.settings.get("parts", ()))]
    tops = sorted({PurePosixPath(one).parts[0] for one in inner})
    if tops and all((path / top).is_dir() for top in tops):
        return {top: path / top for top in tops}
    # The folder itself, whatever it is called now.
    if len(tops) == 1:
        return {tops[0]: path}
    wanted = tops or [file.name for file in entry.files]
    missing = [name for name in wanted if not (path / name).exists()]
    raise InputError(f"'{path.name}' is not '{entry.id}': it has no {', '.join(missing)}; give the folder that has.")


def _import_own(path: Path, training: Training | None, progress: Progress) -> Path:
    check_room(models_folder(), _size(path))
    with workshop(_MAKING) as places:
        if path.is_file():
            unpack(path, places.made, ModelFile(path.name).most_unpacked, progress.part(0.0, 0.7))
        else:
            _copy(path, places.made / path.name, progress.part(0.0, 0.7))
        catalog = load()
        model = describe(places.made, path.stem if path.is_file() else path.name, catalog.structures, training)
        entry = parsed_own(model, catalog.structures)
        if any(one.id == entry.id for one in catalog):
            raise InputError(
                f"There is a model '{entry.id}' already; remove that first, or give the folder another name."
            )
        check_contents(entry, places.made, progress.part(0.7, 0.8))
        return land(places, entry, [entry.id], [Origin(path.name)], progress.part(0.8, 1.0), own=model)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """A file or a folder with what is in it; links are followed."""
    size, done = max(_size(source), 1), 0

    def copy(file: str, to: str) -> str:
        nonlocal done
        with Path(file).open("rb") as reader, Path(to).open("wb") as writer:
            while block := reader.read(_BLOCK):
                writer.write(block)
                done += len(block)
                progress(done / size, f"Copying {Path(file).name}")
        return to

    try:
        if source.is_dir():
            shutil.copytree(source, target, copy_function=copy)
        else:
            copy(str(source), str(target))
    except (OSError, shutil.Error) as error:
        raise InputError(f"'{source.name}' could not be copied ({error}); check that the disk has room.") from error


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
