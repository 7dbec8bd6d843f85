"""Which structure is made from which, and making again what a change has put out of date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.rules import Rule, renamed, sources
from SegmentationAILib.radiotherapy.structure_set import RTStructure, StructureSet


@dataclass(frozen=True)
class Edge:
    """One structure goes into the rule of another."""

    source: str
    derived: str


def edges(structure_set: StructureSet) -> list[Edge]:
    """Each source of each derived structure, in the set's order; a source may be missing from the set.

    Raises:
        InputError: a rule cannot be read.
    """
    return [Edge(source, name) for name, rule in _rules(structure_set).items() for source in sources(rule)]


def describe(structure_set: StructureSet) -> str:
    """A line for each structure, sources before what is made of them: ``PTVp = expand(CTVp, 5)``.

    Raises:
        InputError: a rule cannot be read, or structures are made of each other.
    """
    by_key = {one.name.lower(): one for one in structure_set}
    held = [by_key[key] for key in _order(structure_set) if key in by_key]
    return "\n".join(f"{one.name} = {one.rule}" if one.rule else one.name for one in held)


def rebuild(
    structure_set: StructureSet, changed: Iterable[str] | None = None, *, progress: Progress | None = None
) -> StructureSet:
    """The set with its derived structures made again, each after its sources.

    Args:
        structure_set: what there is; structures without a rule stay as they are.
        changed: names of structures whose voxels or rule are new: they, where they have a rule, and all
            that depends on them are made again, and nothing else. Everything derived if not given.
        progress: told the name of each structure before it is made.

    Raises:
        InputError: a rule cannot be read, a structure depends on itself, or a source or a changed
            structure is not in the set. The set given is as it was.
    """
    # Names and descriptions wait neither for torch nor for SciPy.
    from SegmentationAILib.radiotherapy.rule_building import build  # noqa: PLC0415

    progress = progress or Progress()
    rules = {name.lower(): rule for name, rule in _rules(structure_set).items()}
    order = _order(structure_set)
    stale = set(rules) if changed is None else _depending(structure_set, [structure_set[name].name for name in changed])
    todo = [key for key in order if key in stale and key in rules]
    for key in todo:
        _require_sources(structure_set, key, rules)
    for n, key in enumerate(todo):
        structure = structure_set[key]
        progress(n / len(todo), structure.name)
        structure_set = structure_set.with_structure(replace(structure, mask=build(rules[key], structure_set)))
    return structure_set


def dependants(structure_set: StructureSet, name: str) -> tuple[str, ...]:
    """What is made of a structure, directly or over others, in the order in which it is made.

    Raises:
        InputError: there is no such structure, a rule cannot be read or structures depend on each other.
    """
    structure_set[name]
    after = _depending(structure_set, [name]) - {name.lower()}
    return tuple(structure_set[key].name for key in _order(structure_set) if key in after)


def delete(structure_set: StructureSet, name: str, *, keep_dependants: bool = False) -> StructureSet:
    """The set without a structure.

    Args:
        structure_set: what there is.
        name: of the structure to take out.
        keep_dependants: what is made of it keeps its voxels and loses its rule, as if it had been drawn.

    Raises:
        InputError: there is no such structure, or others are made of it and are not to be kept.
    """
    gone = structure_set[name]
    direct = {edge.derived for edge in edges(structure_set) if edge.source.lower() == name.lower()}
    direct.discard(gone.name)
    if direct and not keep_dependants:
        raise InputError(
            f"'{gone.name}' cannot be deleted: {', '.join(sorted(direct))} would lose a source; "
            "delete these first, or keep them without their rules."
        )
    kept = [replace(one, rule="") if one.name in direct else one for one in structure_set if one is not gone]
    return replace(structure_set, structures=tuple(kept))


def rename(structure_set: StructureSet, old: str, new: str) -> StructureSet:
    """The set with a structure under another name, in every rule too.

    Raises:
        InputError: there is no such structure, the name is empty or taken, or a rule cannot be read.
    """
    if not new.strip():
        raise InputError(f"'{old}' cannot have an empty name; type one.")
    was = structure_set[old]

    def change(one: RTStructure) -> RTStructure:
        # A rule that does not name it stays as the user wrote it.
        rule = parse_rule(one.rule) if one.rule else None
        if rule is not None and any(source.lower() == old.lower() for source in sources(rule)):
            one = replace(one, rule=str(renamed(rule, old, new)))
        return replace(one, name=new) if one.name == was.name else one

    return replace(structure_set, structures=tuple(change(one) for one in structure_set))


def _rules(structure_set: StructureSet) -> dict[str, Rule]:
    """The rule of each derived structure, by its name."""
    rules = {}
    for one in structure_set:
        if one.rule:
            try:
                rules[one.name] = parse_rule(one.rule)
            except InputError as error:
                raise InputError(f"'{one.name}' cannot be made. {error}") from error
    return rules


def _order(structure_set: StructureSet) -> list[str]:
    """Names in lower case, sources first, missing ones among them."""
    graph: dict[str, Collection[str]] = {one.name.lower(): () for one in structure_set}
    for name, rule in _rules(structure_set).items():
        graph[name.lower()] = [source.lower() for source in sources(rule)]
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        # graphlib lists each before what needs it.
        chain = " needs ".join(structure_set[key].name for key in reversed(error.args[1]))
        raise InputError(f"Structures cannot be made of themselves: {chain}; change one of their rules.") from error


def _depending(structure_set: StructureSet, names: Iterable[str]) -> set[str]:
    """The names and all that is made of them, in lower case."""
    reached = {name.lower() for name in names}
    made_of: dict[str, list[str]] = {}
    for edge in edges(structure_set):
        made_of.setdefault(edge.source.lower(), []).append(edge.derived.lower())
    waiting = list(reached)
    while waiting:
        new = [key for key in made_of.get(waiting.pop(), ()) if key not in reached]
        reached.update(new)
        waiting += new
    return reached


def _require_sources(structure_set: StructureSet, key: str, rules: Mapping[str, Rule]) -> None:
    missing = [source for source in sources(rules[key], required=True) if source not in structure_set]
    if not missing:
        return
    # Who asked for it: the way from this structure to what is made of it last.
    chain = [key]
    while after := next((k for k, rule in rules.items() if chain[-1] in map(str.lower, sources(rule))), None):
        chain.append(after)
    way = " needs ".join([*(structure_set[one].name for one in reversed(chain)), missing[0]])
    held = ", ".join(one.name for one in structure_set)
    raise InputError(f"{way}, which is not in the set; draw or rename it, or change the rule (the set holds {held}).")
