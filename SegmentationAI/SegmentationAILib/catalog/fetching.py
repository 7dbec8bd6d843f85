"""A model of the catalogue, from its publisher's server to the models' folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from SegmentationAILib.catalog import pins
from SegmentationAILib.catalog.archive import check_room, unpack
from SegmentationAILib.catalog.entry import Entry, ModelFile
from SegmentationAILib.catalog.integrity import check_contents
from SegmentationAILib.catalog.listing import load
from SegmentationAILib.catalog.store import Origin, hash_of, installed, models_folder
from SegmentationAILib.catalog.workshop import Workshop, land, workshop
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

AcceptLicence = Callable[[str], bool]


def fetch(
    entry: Entry,
    *,
    accept_licence: AcceptLicence | bool = False,
    progress: Progress = Progress(),  # noqa: B008 - immutable
    trust_new: bool = False,
) -> Path:
    """The folder of a model, downloaded where it is not there yet.

    A file for which nobody publishes a hash is trusted when it is first fetched: its SHA-256 is noted beside the
    models, and a later download must be the same file.

    Args:
        entry: of the catalogue.
        accept_licence: True where the user has seen ``entry.terms`` and agreed, or a function that shows the text
            and asks. Not used for a model that is there already.
        progress: told of the bytes; its token cancels within a second. What was downloaded by then is kept and the
            next call goes on from there.
        trust_new: take a file that is not the one of the first fetch, and note it instead.

    Raises:
        InputError: the licence was not accepted or needs the user's own number, the disk has no room, the server does
            not give the file, or the file is damaged or another one; there is no trace of such a file then.
        Cancelled: the user cancelled.
    """
    if there := installed(entry):
        return there
    if not entry.fetchable:
        raise InputError(
            f"'{entry.title}' cannot be fetched: {entry.licence.terms} {entry.note} The command for the import is "
            f"'thoraxai models import --as {entry.id} FOLDER'."
        )
    if not (accept_licence if isinstance(accept_licence, bool) else accept_licence(entry.terms)):
        raise InputError(
            f"The licence of '{entry.id}' ({entry.licence.name}) was not accepted, and nothing was fetched; read "
            f"{entry.licence.url} and agree to it first."
        )
    check_room(models_folder(), _bytes_needed(entry))
    with workshop(entry.folder) as places:
        origins = []
        for n, file in enumerate(entry.files):
            start, end = (0.9 * share / len(entry.files) for share in (n, n + 1))
            origins.append(_fetch_file(file, places, progress.part(start, end), trust_new))
        check_contents(entry, places.made, progress.part(0.9, 0.95))
        sharing = [one.id for one in load() if one.folder == entry.folder] or [entry.id]
        folder = land(places, entry, sharing, origins, progress.part(0.95, 1.0))
    for origin in origins:
        if origin.by == pins.FIRST_USE:
            pins.note(origin.url, origin.sha256)
    return folder


def _fetch_file(file: ModelFile, places: Workshop, progress: Progress, trust_new: bool) -> Origin:
    """Download one file into the model's folder, or its contents."""
    import pooch  # noqa: PLC0415 - only needed here, as what comes with it

    from SegmentationAILib.catalog.download import ResumingDownloader  # noqa: PLC0415

    pinned = None if trust_new else pins.of(file.url)
    expected = str(file.hash) if file.hash else f"sha256:{pinned}" if pinned else None
    folder = places.spare if file.unpack else places.made
    room = file.most_unpacked(file.size) if file.unpack and file.unpacked_size and file.size else 0
    pooch.get_logger().setLevel("WARNING")
    downloader = ResumingDownloader(places.partial / f"{file.name}.part", file.size, progress.part(0.0, 0.8), room)
    try:
        path = Path(pooch.retrieve(file.url, expected, file.name, folder, downloader=downloader))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise _refused(file, str(error), pinned is not None) from error
    size = path.stat().st_size
    if file.size not in (None, size):
        raise InputError(
            f"'{file.name}' was refused: it has {size:,} bytes and must have {file.size:,}; try again later."
        )
    sha256 = hash_of(path, "sha256", progress.part(0.8, 0.9))
    if file.unpack:
        unpack(path, places.made, file.most_unpacked, progress.part(0.9, 1.0))
        path.unlink()
    by = file.hash.by if file.hash else pins.FIRST_USE
    return Origin(file.name, file.url, size, sha256, expected or "", by)


def _refused(file: ModelFile, why: str, pinned: bool) -> InputError:
    """``why`` is pooch's text, whose first sentence names both hashes."""
    both = why.partition(". ")[0]
    advice = (
        "it is not the file that was first fetched here, so ask its publisher whether it was replaced, and if so say "
        "that you trust the new one (--trust-new)"
        if pinned
        else "try again later, and if it happens again do not use it"
    )
    return InputError(f"'{file.name}' was refused and deleted ({both}); {advice}.")


def _bytes_needed(entry: Entry) -> int:
    """On the disk while the model is made; a zip and its contents are both there for a while."""
    largest = max((file.size or 0 for file in entry.files if file.unpack), default=0)
    return (entry.size or sum(file.size or 0 for file in entry.files)) + largest
