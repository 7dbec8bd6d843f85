"""Whether structure names follow AAPM TG-263 (Mayo et al., IJROBP 2018; report RPT-263), in plain sentences.

A name is a known structure (tg263.py) or a target volume, with what the report allows around it:

- ``x`` or ``z`` before it: a help for planning, not for evaluation; what follows is free;
- ``_PRV`` or ``_PRV05`` behind the base: a planning risk volume, with its margin in mm;
- ``~`` behind the base: only a part was drawn;
- ``-`` between names: the first without the others;
- ``^`` and text at the end: the user's own qualifier.

A target volume is GTV, CTV, ITV, IGTV, ICTV, PTV or PTV! (without the organs it meets), then n, p, sb, par, v or vas,
a number, the images it was drawn on (_CT1PT1), a structure, _High, _Mid, _Low or a dose in cGy (_6000, _60Gy) with its
fractions (x20), and how many mm it was cropped to the skin (-03).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from SegmentationAILib.radiotherapy.local_names import Proposal, propose
from SegmentationAILib.radiotherapy.tg263 import LONGEST, entry

_ALLOWED = re.compile(r"[A-Za-z0-9_~^+\-!.]*")
_TARGET = re.compile(r"(?:PTV!?|I?GTV|I?CTV|ITV)(?:n|p|sb|par|vas|v)?\d{0,2}(?=[_~-]|$)")
_IMAGES = re.compile(r"_(?:(?:CT|PT|MR|SP)\d+)+(?=_|-|$)")
_DOSE = re.compile(r"_(?:(?:High|Mid|Low)(?:\d{2})?|\d{3,5}|\d{1,2}(?:[.p]\d+)?Gy)(?:x\d{1,2})?(?=_|-|$)")
_CROPPED = re.compile(r"-\d{2}$")
_PRV = re.compile(r"_PRV(?:\d{1,2})?(?=_[LR]$|$)")
_HELP = re.compile(r"[xz](?=[A-Z0-9_])")
_LEAST_CONFIDENCE, _SURE = 0.5, 0.7


@dataclass(frozen=True)
class Finding:
    """Something that TG-263 does not allow.

    Attributes:
        text: one sentence: what is wrong, and what to write where that is known.
        proposal: the right name, "" where none is known.
    """

    text: str
    proposal: str = ""

    def __str__(self) -> str:
        return self.text


def check(name: str) -> list[Finding]:
    """What is wrong with a name; empty where it follows TG-263.

    Reverse-order names (L_Lung) follow it too, so long as a set does not mix both orders: see ``check_set``.
    """
    if not name.strip():
        return [Finding("The structure has no name; give it one.")]
    findings = []
    right = propose(name)
    proposal = right.name if right and right.confidence >= _LEAST_CONFIDENCE and right.name != name else ""
    if len(name) > LONGEST:
        findings.append(_finding(f"'{name}' has {len(name)} characters; planning systems keep {LONGEST}", proposal))
    strange = sorted(set(_ALLOWED.sub("", name)))
    if strange:
        shown = ", ".join("a space" if char.isspace() else f"'{char}'" for char in strange)
        findings.append(
            _finding(f"'{name}' holds {shown}; a name is of letters, digits, points and _ ~ ^ + - !", proposal)
        )
    if not findings and not _HELP.match(name) and (wrong := _body(name.partition("^")[0], right)):
        findings.append(_finding(f"'{name}' {wrong}", proposal))
    return findings


def check_set(names: Iterable[str]) -> list[Finding]:
    """What is wrong with the names of one structure set, each and together."""
    names = list(names)
    findings = [finding for name in names for finding in check(name)]
    first: dict[str, str] = {}
    for name in names:
        if name.lower() in first:
            twin = first[name.lower()]
            findings.append(Finding(f"'{twin}' and '{name}' are one name to systems that ignore case; rename one."))
        first.setdefault(name.lower(), name)
    known = [(name, one) for name in names if (one := entry(name)) and one.name != one.reverse]
    backwards = [(name, one) for name, one in known if name.lower() == one.reverse.lower()]
    if 0 < len(backwards) < len(known):
        findings += [
            Finding(f"'{name}' is in reverse order and other names are not; write '{one.name}'.", one.name)
            for name, one in backwards
        ]
    return findings


def _finding(text: str, proposal: str) -> Finding:
    return Finding(f"{text}; write '{proposal}'." if proposal else f"{text}.", proposal)


def _body(name: str, right: Proposal | None) -> str:
    """What is wrong with a name without its qualifier, as the end of a sentence; "" where nothing is."""
    if target := _TARGET.match(name):
        return _target(name[target.end() :])
    for part in name.split("-"):
        if wrong := _target(part[target.end() :]) if (target := _TARGET.match(part)) else _organ(part, right):
            return wrong
    return ""


def _target(rest: str) -> str:
    """What is wrong behind the letters and number of a target volume."""
    rest = _CROPPED.sub("", rest.replace("~", "", 1))
    for part in (_IMAGES, _DOSE):
        rest = part.sub("", rest, count=1)
    for subtracted in rest.split("-")[1:]:
        if not _TARGET.match(subtracted) and not entry(subtracted):
            return f"takes away '{subtracted}', which is no name of TG-263"
    structure = rest.split("-")[0].removeprefix("_").removesuffix("_")
    if not structure or structure in ("Eval", "Opt") or entry(structure):
        return ""
    return (
        f"has '{structure}' behind the target volume; allowed are images (_CT1), a structure of TG-263, "
        "_High, _Mid, _Low, a dose in cGy (_6000) and your own text behind ^"
    )


def _organ(name: str, right: Proposal | None) -> str:
    """What is wrong with one organ's name."""
    plain = _PRV.sub("", name)
    margin = _PRV.search(name)
    if margin and re.search(r"PRV\d$", margin.group()):
        return "gives the margin with one digit; write two, in mm"
    plain = plain.replace("~", "", 1)
    one = entry(plain)
    if one is None:
        if right is not None and right.confidence >= _SURE:
            return "is not a name of TG-263"
        if right is not None and right.confidence >= _LEAST_CONFIDENCE:
            return f"is no name known here: {right.reason.rstrip('.')}"
        return f"has '{plain}', which is no name known here; check its spelling or put your own text behind ^"
    if plain not in (one.name, one.reverse):
        return "is a name of TG-263 in other capitals"
    return ""
