"""The structure names of AAPM TG-263 that this project uses (Mayo et al., IJROBP 2018; report RPT-263).

nomenclature.json holds them, one a line. ``official`` says whether a name stands in the report's worksheet
(version of 15 August 2017) word for word; the others are made by the report's rules. SNOMED CT codes are those of
TotalSegmentator's terminology table, DICOM PS3.16 and HL7's CodeX Radiation Therapy guide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LONGEST = 16
_FILE = Path(__file__).with_name("nomenclature.json")


@dataclass(frozen=True)
class Entry:
    """One structure.

    Attributes:
        name: primary name, the base first: Lung_L.
        reverse: reverse-order name, the base last: L_Lung.
        official: whether the name is in the report's worksheet.
        snomed: SNOMED CT code of the structure without its side, "" where it is not sure.
        totalsegmentator: "task:class" of the TotalSegmentator classes that it names.
        synonyms: what it is called locally, without the side where the name ends in a side.
    """

    name: str
    reverse: str
    official: bool
    snomed: str = ""
    totalsegmentator: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()

    @property
    def side(self) -> str:
        """ "L", "R", or "" where the name does not end in a side."""
        # VB_L is the lumbar spine.
        return self.name[-1] if self.name.endswith(("_L", "_R")) and self.name != "VB_L" else ""


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """All names, in alphabetical order."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    lists = ("totalsegmentator", "synonyms")
    return tuple(Entry(**{key: tuple(value) if key in lists else value for key, value in row.items()}) for row in rows)


def entry(name: str) -> Entry | None:
    """The entry of a primary or reverse-order name, case aside; None where there is none."""
    return _by_name().get(name.lower())


def of_totalsegmentator(task: str, class_name: str) -> Entry | None:
    """The entry of a TotalSegmentator v2 class, for example ("total", "lung_upper_lobe_left")."""
    wanted = f"{task}:{class_name}"
    return next((one for one in entries() if wanted in one.totalsegmentator), None)


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Entry]:
    reverse = {one.reverse.lower(): one for one in entries()}
    return reverse | {one.name.lower(): one for one in entries()}
