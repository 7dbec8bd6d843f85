"""What a user says, in words or numbers, as guidelines take it."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError

_WORDS = {"yes": True, "true": True, "no": False, "false": False, "unknown": None, "": None}


def answer_of(name: str, said: object, asked: type = Finding) -> object:
    """A value for an attribute of ``Finding`` or ``Patient``; None is "not known".

    Args:
        said: the value itself, or a word: "yes", "no", "unknown", or one of an enumeration such as "part-solid".

    Raises:
        InputError: there is no such attribute, or the value is none of those that it can have.
    """
    kinds = typing.get_type_hints(asked)
    if name not in kinds:
        raise InputError(
            f"Nothing called '{name}' is asked; choose one of: {', '.join(f.name for f in fields(asked))}."
        )
    kind = _without_none(kinds[name])
    said = said.strip() if isinstance(said, str) else said
    if said is None or (isinstance(said, str) and said.lower() in ("", "unknown")):
        return None
    if issubclass(kind, Enum):
        try:
            return kind(said)
        except ValueError:
            raise InputError(f"'{said}' is no {name}; choose one of: {', '.join(one.value for one in kind)}.") from None
    if kind is bool:
        answer = _WORDS.get(said.lower(), said) if isinstance(said, str) else said
        if not isinstance(answer, bool):
            raise InputError(f"'{said}' is no answer to '{name}'; say yes, no or unknown.")
        return answer
    if kind is str:
        return str(said)
    try:
        return kind(said)
    except (TypeError, ValueError):
        raise InputError(f"'{said}' is no number; enter '{name}' as a number, or leave it out.") from None


def patient_of(known: Mapping[str, object]) -> Patient:
    """A patient of whom this is known.

    Raises:
        InputError: an attribute is not known, or a value is out of range or contradicts another.
    """
    return Patient(**{name: answer_of(name, said, Patient) for name, said in known.items()})


def _without_none(kind: Any) -> type:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        [kind] = [one for one in typing.get_args(kind) if one is not types.NoneType]
    return kind
