"""Which models of the catalogue answer to some words: by title, by id, by what they find."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.terminology import Structure


@dataclass(frozen=True, eq=False)
class Match:
    """A model that answers.

    Attributes:
        values: labels whose structures the words name, in the model's order; empty where they name the model alone.
    """

    entry: Entry
    values: tuple[int, ...] = ()


def search(entries: Iterable[Entry], query: str, here: Collection[str] = ()) -> list[Match]:
    """The models that answer to every word of a query; all of them where it is empty.

    A word answers where it begins one of the model's, or one of a structure's in English, American or TG-263 spelling.
    What comes with ThoraxAI is first, then what is on this computer, then what the title names, else as in the list.

    Args:
        here: ids of the models that are on this computer.
    """
    words = _words(query)
    found = []
    for place, entry in enumerate(entries):
        names = _words(f"{entry.title} {entry.id} {entry.licence.id}")
        left = [word for word in words if not _begins(word, names)]
        values = tuple(value for value in entry.labels if words and matches(entry, value, " ".join(left or words)))
        if not left or values:
            rank = (not entry.built_in, entry.id not in here, bool(left), place)
            found.append((rank, Match(entry, values)))
    return [match for _, match in sorted(found, key=lambda one: one[0])]


def matches(entry: Entry, value: int, query: str) -> bool:
    """Whether every word of a query begins one of a structure's names."""
    names = _names(entry.label_ids.get(value, ""), entry.labels[value])
    return all(_begins(word, names) for word in _words(query))


@lru_cache(maxsize=4096)
def _names(key: str, structure: Structure) -> tuple[str, ...]:
    coded = [code.meaning for code in (structure.type, structure.type_modifier) if code]
    return tuple(_words(" ".join((structure.name, key, structure.tg263, *coded))))


def _begins(word: str, names: Collection[str]) -> bool:
    return any(name.startswith(word) for name in names)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
