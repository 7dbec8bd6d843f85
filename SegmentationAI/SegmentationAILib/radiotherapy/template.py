"""Site protocols as YAML files: which structures there are, how they are made, and the goals of the dose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Steps, finish_alone
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.goal import Goal
from SegmentationAILib.radiotherapy.graph import rebuild
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.rules import sources
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet
from SegmentationAILib.radiotherapy.yaml_file import YamlFile
from SegmentationAILib.resources import resource

FOLDER = "Protocols"
SCHEMA = "protocol.schema.json"


@dataclass(frozen=True)
class TemplateStructure:
    """A structure of a protocol.

    Attributes:
        name: AAPM TG-263.
        role: what it is for.
        colour: red, green, blue in 0…1.
        task: what draws it, a key of ``drawing.TASKS`` such as ``"lungs"``; "" where the user does.
        rule: the rule that derives it; "" where it is drawn.
        source: where the rule's numbers were published.
    """

    name: str
    role: Role
    colour: tuple[float, float, float]
    task: str = ""
    rule: str = ""
    source: str = ""


@dataclass(frozen=True)
class Prescription:
    """The dose that percentages of dose in goals refer to: Gy in all, in how many fractions, to what."""

    dose_gy: float
    fractions: int
    target: str
    source: str


@dataclass(frozen=True)
class Template:
    """A site protocol.

    Attributes:
        name: shown to the user.
        site: what is treated.
        summary: what to know before it is used, "" for nothing.
        source: the protocol or guideline that it follows.
        path: the file that it was read from.
    """

    name: str
    site: str
    summary: str
    source: str
    prescription: Prescription
    structures: tuple[TemplateStructure, ...]
    goals: tuple[Goal, ...]
    path: Path


@dataclass(frozen=True)
class Unbuilt:
    """A derived structure that could not be made, and the drawn structures that it lacks."""

    name: str
    missing: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} needs {', '.join(self.missing)}"


@dataclass(frozen=True)
class Incomplete:
    """A derived structure that was made without some that its rule takes where they are drawn."""

    name: str
    without: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} is made without {', '.join(self.without)}"


@dataclass(frozen=True, eq=False)
class Applied:
    """The set with what a template adds, what it could not add, and what it added for want of better."""

    structure_set: StructureSet
    unbuilt: tuple[Unbuilt, ...]
    incomplete: tuple[Incomplete, ...] = ()


@dataclass(frozen=True)
class TemplateList:
    """Templates that can be used, and a sentence for each file that cannot."""

    templates: tuple[Template, ...]
    problems: tuple[str, ...]


def read_template(path: Path) -> Template:
    """The template in a YAML file.

    Raises:
        InputError: the file cannot be read or is not valid; the sentence names the file and the line.
    """
    file = YamlFile(path, _schema())
    held = file.content
    structures = _structures(file)
    _check_names(file)
    return Template(
        name=held["name"],
        site=held["site"],
        summary=held.get("summary", ""),
        source=held["source"],
        prescription=Prescription(**held["prescription"]),
        structures=structures,
        goals=_goals(file),
        path=path,
    )


def list_templates(folders: Iterable[Path] = ()) -> TemplateList:
    """The built-in templates and those in the user's folders; one broken file does not hide the others."""
    return finish_alone(listing_templates(folders))


def listing_templates(folders: Iterable[Path] = ()) -> Steps[TemplateList]:
    """The steps of ``list_templates``, which computes nothing elsewhere."""
    templates, problems = [], []
    built_in = resource(FOLDER)
    for folder in [*([built_in] if built_in else []), *folders]:
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            try:
                templates.append(read_template(path))
            except InputError as error:
                problems.append(str(error))
            yield
    return TemplateList(tuple(templates), tuple(problems))


def apply(template: Template, structure_set: StructureSet, progress: Progress | None = None) -> Applied:
    """Add a template's derived structures whose sources there are, and build them.

    Structures that the set already holds stay as they are, also where the template has a rule for
    them: the user's work goes first.

    Raises:
        InputError: a rule of the set cannot be read, or cannot be built.
        Cancelled: the user cancelled.
    """
    held = {one.name.lower() for one in structure_set}
    rules = {one.name.lower(): parse_rule(one.rule) for one in template.structures if one.rule}

    def missing(name: str) -> tuple[str, ...]:
        if name.lower() in held:
            return ()
        if name.lower() not in rules:
            return (name,)
        lacking = [one for source in sources(rules[name.lower()], required=True) for one in missing(source)]
        return tuple(dict.fromkeys(lacking))

    added, unbuilt = [], []
    for one in template.structures:
        if not one.rule or one.name.lower() in held:
            continue
        if lacking := missing(one.name):
            unbuilt.append(Unbuilt(one.name, lacking))
            continue
        empty = np.zeros(structure_set.grid.shape, dtype=bool)
        structure_set = structure_set.with_structure(
            RTStructure(one.name, one.role, empty, one.colour, Origin.SEMIAUTOMATIC, one.rule)
        )
        added.append(one.name)
    incomplete = []
    for name in added:
        without = [one for one in sources(rules[name.lower()]) if one not in structure_set]
        if without:
            incomplete.append(Incomplete(name, tuple(without)))
    return Applied(rebuild(structure_set, added, progress=progress), tuple(unbuilt), tuple(incomplete))


@cache
def _schema() -> dict[str, Any]:
    path = resource(f"{FOLDER}/{SCHEMA}")
    if path is None:
        raise InputError("The schema of protocols is missing from this installation; install ThoraxAI again.")
    return json.loads(path.read_text(encoding="utf-8"))


def _structures(file: YamlFile) -> tuple[TemplateStructure, ...]:
    structures = []
    for n, one in enumerate(file.content["structures"]):
        if "rule" in one:
            try:
                parse_rule(one["rule"])
            except InputError as error:
                raise file.error_at(
                    ("structures", n, "rule"), str(error).removesuffix("; correct the rule.")
                ) from error
        digits = one["colour"].lstrip("#")
        red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
        structures.append(TemplateStructure(**{**one, "role": Role(one["role"]), "colour": (red, green, blue)}))
    return tuple(structures)


def _goals(file: YamlFile) -> tuple[Goal, ...]:
    goals = []
    for n, one in enumerate(file.content["goals"]):
        try:
            goals.append(Goal(**one))
        except InputError as error:
            raise file.error_at(("goals", n, "metric"), str(error)) from error
    return tuple(goals)


def _check_names(file: YamlFile) -> None:
    """Each name stands for one structure, and each mention of a name for one in the file."""
    names: set[str] = set()
    for n, one in enumerate(file.content["structures"]):
        if one["name"].lower() in names:
            raise file.error_at(("structures", n, "name"), f"a second structure is named '{one['name']}'")
        names.add(one["name"].lower())
    for n, one in enumerate(file.content["structures"]):
        for source in sources(parse_rule(one["rule"])) if "rule" in one else ():
            _require(file, ("structures", n, "rule"), source, names)
    for n, goal in enumerate(file.content["goals"]):
        _require(file, ("goals", n, "structure"), goal["structure"], names)
    _require(file, ("prescription", "target"), file.content["prescription"]["target"], names)
    made_of = {
        one["name"].lower(): [source.lower() for source in sources(parse_rule(one["rule"]))] if "rule" in one else []
        for one in file.content["structures"]
    }
    try:
        TopologicalSorter(made_of).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        first = min(list(made_of).index(name) for name in circle)
        shown = [file.content["structures"][list(made_of).index(name)]["name"] for name in circle]
        why = f"structures cannot be made of themselves: {' needs '.join(shown)}"
        raise file.error_at(("structures", first, "rule"), why) from error


def _require(file: YamlFile, at: tuple[str | int, ...], name: str, names: set[str]) -> None:
    if name.lower() not in names:
        raise file.error_at(at, f"'{name}' is not among the structures of this file")
