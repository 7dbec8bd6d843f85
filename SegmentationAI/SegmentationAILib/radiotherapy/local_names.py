"""What a local structure name stands for in AAPM TG-263: English, German, French, Italian, Spanish, Dutch.

A proposal is never applied here: renaming a structure is the user's decision.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from SegmentationAILib.radiotherapy.tg263 import LONGEST, Entry, entries, entry

_LEFT = "l lt left li links linke linker linkes gauche gche g sinistra sinistro sin sx izquierda izquierdo izq"
_RIGHT = "r rt right re rechts rechte rechter rechtes droit droite d destra destro dx derecha derecho der dcho"
_SIDES = dict.fromkeys(_LEFT.split(), "L") | dict.fromkeys(_RIGHT.split(), "R")
# Words that say who drew a structure or that it is one, not what it is.
_IDLE = frozenset(["oar", "organ", "structure", "struct", "auto", "ai", "ts", "dl", "roi", "contour", "final", "new"])
_TARGET = re.compile(
    r"(i?gtv|i?ctv|itv|ptv)[\s_-]?(sb|par|vas|n|p|v)?[\s_-]?(?:(\d{1,2})(?!\d|[\s_]*c?gy))?"
    r"[\s_-]?(?:(high|mid|low)|(\d{1,5}(?:\.\d+)?)[\s_]*(c?gy)?)?",
    re.IGNORECASE,
)
_SUBTRACTION = re.compile(r"\s+minus\s+|\s*(?<=[\w ])-\s*(?=(?:i?gtv|i?ctv|itv|ptv))", re.IGNORECASE)
_PRV = re.compile(
    r"[\s_-]*prv[\s_-]*(?:0?(\d{1,2}))?[\s_-]*(?:mm)?$|[\s_-]*\+[\s_-]*0?(\d{1,2})[\s_-]*mm$", re.IGNORECASE
)
_LEAST_ALIKE = 0.85
# A larger number behind PTV is a dose in Gy, a smaller one counts targets.
_LEAST_DOSE_GY = 20


@dataclass(frozen=True)
class Proposal:
    """A TG-263 name for a local one.

    Attributes:
        name: the primary name.
        confidence: 0…1; 1 where the local name is the TG-263 name, below 0.7 where the user should look twice.
        reason: one sentence that says why.
    """

    name: str
    confidence: float
    reason: str


def propose(local: str) -> Proposal | None:
    """The TG-263 name of a local structure name, None where nothing is near it.

    Examples: "LT LUNG" is Lung_L, "cord PRV 5mm" SpinalCord_PRV05, "Lungs minus GTV" Lungs-GTV, "Myelon" SpinalCord.
    """
    text = " ".join(local.split())
    if not text:
        return None
    known = entry(text)
    if known:
        if text == known.name:
            return Proposal(known.name, 1.0, f"'{text}' is the TG-263 name.")
        kind = "reverse-order name" if text.lower() == known.reverse.lower() else "TG-263 name in another case"
        return Proposal(known.name, 0.99, f"'{text}' is the {kind}.")
    found = _prv(text) or _subtraction(text) or _target(text) or _by_synonym(text) or _alike(text)
    if found and found.name == text:
        return Proposal(text, 1.0, f"'{text}' is a name by the rules of TG-263.")
    return found


def _prv(text: str) -> Proposal | None:
    if text.lower().startswith("prv "):
        text = f"{text[4:]} PRV"
    found = _PRV.search(text)
    organ = found and propose(text[: found.start()])
    if not organ:
        return None
    margin = found.group(1) or found.group(2)
    ending = f"_PRV{int(margin):02d}" if margin else "_PRV"
    # The margin comes before the side: OpticNrv_PRV03_L.
    base, side = (organ.name[:-2], organ.name[-2:]) if organ.name.endswith(("_L", "_R")) else (organ.name, "")
    name = f"{base}{ending}{side}"
    return _fitting(Proposal(name, organ.confidence * 0.97, f"{organ.reason} A margin of planning risk is added."))


def _subtraction(text: str) -> Proposal | None:
    parts = _SUBTRACTION.split(text)
    proposals = [propose(part) for part in parts] if len(parts) > 1 and all(parts) else []
    if not proposals or not all(proposals):
        return None
    confidence = min(one.confidence for one in proposals) * 0.97
    name = "-".join(one.name for one in proposals)
    return _fitting(Proposal(name, confidence, f"'{text}' is one structure without another."))


def _target(text: str) -> Proposal | None:
    found = _TARGET.fullmatch(text)
    if not found:
        return None
    volume, kind, number, level, dose, unit = found.groups()
    sure = 0.95
    if dose is None and number and int(number) >= _LEAST_DOSE_GY:
        number, dose, sure = None, number, 0.7
    name = volume.upper() + (kind or "").lower() + (str(int(number)) if number else "")
    if level:
        name += f"_{level.capitalize()}"
    if dose:
        in_gray = unit.lower() == "gy" if unit else float(dose) < 100
        name += f"_{round(float(dose) * (100 if in_gray else 1))}"
    reason = f"'{text}' is a target volume" + (" with a dose, which TG-263 writes in cGy." if dose else ".")
    return _fitting(Proposal(name, sure, reason))


def _fitting(proposal: Proposal) -> Proposal | None:
    return proposal if len(proposal.name) <= LONGEST else None


def _by_synonym(text: str) -> Proposal | None:
    for words, trust in ((_words(text), 0.95), ([word for word in _words(text) if word not in _IDLE], 0.85)):
        found = _look_up(words)
        if found:
            one, complete = found
            if complete:
                return Proposal(one.name, trust, f"'{text}' is a common name of {one.name}.")
            return Proposal(one.name, 0.6, f"'{text}' does not say which side; {one.name} is both or either.")
    return None


def _look_up(words: list[str]) -> tuple[Entry, bool] | None:
    """The entry of these words, and whether they say all that its name says."""
    if whole := _entry_of("", words):
        return whole, not _entry_of("L", words)
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if len(sides) != 1:
        return None
    side = sides.pop()
    # A word may be a side in one language and a part of the name in another: drop one at a time, last first.
    for n in reversed(range(len(words))):
        if _SIDES.get(words[n]) == side and (sided := _entry_of(side, words[:n] + words[n + 1 :])):
            return sided, True
    return None


def _entry_of(side: str, words: list[str]) -> Entry | None:
    """The entry of these words, with or without spaces between them, in this order or another."""
    return _index().get((side, "".join(words))) or _index().get((side, " ".join(sorted(words))))


def _alike(text: str) -> Proposal | None:
    """The nearest synonym by spelling."""
    words = [word for word in _words(text) if word not in _IDLE]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    side = sides.pop() if len(sides) == 1 else ""
    wanted = "".join(word for word in words if not (side and word in _SIDES))
    best, likeness = None, _LEAST_ALIKE
    for (entry_side, key), one in _index().items():
        if entry_side == side and len(wanted) > 3 and wanted[0] == key[0] and abs(len(key) - len(wanted)) <= 2:
            ratio = SequenceMatcher(None, wanted, key).ratio()
            # Digits tell vertebrae and ribs apart: they must agree.
            if ratio > likeness and re.findall(r"\d+", wanted) == re.findall(r"\d+", key):
                best, likeness = one, ratio
    return best and Proposal(
        best.name, round(0.65 * likeness, 2), f"'{text}' is spelt nearly like a name of {best.name}."
    )


@lru_cache(maxsize=1)
def _index() -> dict[tuple[str, str], Entry]:
    """(side, words) -> entry. Names themselves come first, then synonyms in the order of the list."""
    index: dict[tuple[str, str], Entry] = {}
    named = [(one, one.name[:-2] if one.side else one.name) for one in entries()]
    named += [(one, synonym) for one in entries() for synonym in one.synonyms]
    for one, text in named:
        words = _words(text)
        index.setdefault((one.side, "".join(words)), one)
        index.setdefault((one.side, " ".join(sorted(words))), one)
    return index


def _words(text: str) -> list[str]:
    """Lower-case words without accents; capitals inside a word and digits start a new one."""
    plain = text.replace("ß", "ss").replace("œ", "oe").replace("Œ", "OE")
    plain = "".join(char for char in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(char))
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", plain)
    return [word.lstrip("0") or "0" for word in re.findall(r"[a-z]+|\d+", spaced.lower())]
