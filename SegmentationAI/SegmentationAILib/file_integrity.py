"""Whether an image file holds all the voxels that its header promises.

ITK does not always say: it fills the missing voxels of a truncated NIfTI or of a corrupt compressed
MetaImage with zeros, and does not miss the checksum at the end of a compressed NRRD.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20
# MetaIO's element types (metaTypes.h), bytes each.
_META_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}


def is_whole(path: Path) -> bool:
    """Whether a file has all its voxels and, where it is compressed, the right checksum.

    True for other formats than NRRD, NIfTI and MetaImage, for a NRRD whose voxels are in another file
    (its reader counts them) or in text, and for a MetaImage whose voxels are in a list of files.

    Raises:
        OSError: the file cannot be read.
    """
    name = path.name.lower()
    try:
        if name.endswith(".nrrd"):
            return _is_whole_nrrd(path)
        if name.endswith((".nii", ".nii.gz")):
            return _is_whole_nifti(path)
        if name.endswith((".mha", ".mhd")):
            return _is_whole_meta_image(path)
    except (EOFError, gzip.BadGzipFile, zlib.error, struct.error, ValueError, KeyError):
        return False
    return True


def _is_whole_nifti(path: Path) -> bool:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if compressed else path.open("rb") as file:
        head = file.read(348)
        if not compressed:
            return path.stat().st_size >= _nifti_size(head)
        # Reading to the end also compares gzip's checksum.
        return len(head) + _rest(file) >= _nifti_size(head)


def _nifti_size(head: bytes) -> int:
    """Bytes that a NIfTI-1 file has by its header (nifti1.h); ITK reads no NIfTI-2."""
    for order in "<>":
        (length,) = struct.unpack_from(f"{order}i", head)
        if length == 348:
            dims = struct.unpack_from(f"{order}8h", head, 40)
            (bits,) = struct.unpack_from(f"{order}h", head, 72)
            (offset,) = struct.unpack_from(f"{order}f", head, 108)
            return int(offset) + math.prod(dims[1 : dims[0] + 1]) * bits // 8
    raise ValueError("no NIfTI-1 header")


def _is_whole_nrrd(path: Path) -> bool:
    """The reader itself compares sizes, so only the end of compressed voxels is looked at."""
    with path.open("rb") as file:
        encoding = "raw"
        while line := file.readline().strip():
            key, _, value = line.decode("latin-1").partition(":")
            if key in ("data file", "datafile"):
                return True
            if key == "encoding":
                encoding = value.strip().lower()
        return encoding not in ("gz", "gzip") or _has_bytes(file, 0, compressed=True)


def _is_whole_meta_image(path: Path) -> bool:
    with path.open("rb") as file:
        fields = _meta_fields(file)
        data = fields["ElementDataFile"]
        size = math.prod(int(n) for n in fields["DimSize"].split()) * _META_BYTES[fields["ElementType"]]
        size *= int(fields.get("ElementNumberOfChannels", "1"))
        compressed = fields.get("CompressedData", "False").lower() == "true"
        if data.upper() == "LOCAL":
            return _has_bytes(file, size, compressed=compressed)
    if data.upper().startswith("LIST") or "%" in data:
        return True
    with (path.parent / data).open("rb") as file:
        return _has_bytes(file, size, compressed=compressed)


def _meta_fields(file: BinaryIO) -> dict[str, str]:
    """The header up to and with ElementDataFile, which is its last line; the voxels follow."""
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        key, equals, value = file.readline(4096).decode("latin-1").partition("=")
        if not equals:
            raise ValueError("no MetaImage header")
        fields[key.strip()] = value.strip()
    return fields


def _has_bytes(file: BinaryIO, size: int, *, compressed: bool) -> bool:
    if not compressed:
        start = file.tell()
        return file.seek(0, 2) - start >= size
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # zlib's or gzip's header
    count = 0
    while block := file.read(_BLOCK):
        count += len(inflate.decompress(block))
    return inflate.eof and count >= size


def _rest(file: BinaryIO) -> int:
    count = 0
    while block := file.read(_BLOCK):
        count += len(block)
    return count
