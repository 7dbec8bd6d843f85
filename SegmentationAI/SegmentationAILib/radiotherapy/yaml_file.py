"""A YAML file checked against a JSON schema, with the line of whatever is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from SegmentationAILib.errors import InputError

_Path = Sequence[str | int]
_KINDS = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "object": "a list of keys and values",
    "array": "a list",
}
_LONGEST_SHOWN = 40


class YamlFile:
    """What a YAML file holds, and where.

    Attributes:
        path: of the file.
        content: mappings, lists, texts and numbers; valid by the schema.
    """

    def __init__(self, path: Path, schema: Mapping[str, Any]) -> None:
        """Read and check.

        Raises:
            InputError: the file cannot be read, is no YAML or not valid; the sentence names the file
                and the line.
        """
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"'{path.name}' cannot be read as text: {error}; choose a YAML file.") from error
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            self._refuse_twice(self._root, set())
            # From what was parsed already.
            self.content: Any = self._root and yaml.SafeLoader("").construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._error(mark.line + 1 if mark else 1, f"this is no YAML: {error.problem}") from error
        except InputError:
            raise
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise self._error(1, f"this is no YAML: {error}") from error
        validator = jsonschema.Draft202012Validator(schema)
        errors = [(*_words(error), self._line_of(error)) for error in validator.iter_errors(self.content)]
        if errors:
            _, words, line = min(errors, key=lambda error: (error[0], error[2]))
            raise self._error(line, words)

    def error_at(self, at: _Path, why: str) -> InputError:
        """The error that names the file and the line of a place, such as ``("goals", 3, "metric")``."""
        return self._error(self._line(at), why)

    def _error(self, line: int, why: str) -> InputError:
        return InputError(f"'{self.path.name}', line {line}: {why.rstrip('.')}; correct the file.")

    def _line(self, at: _Path) -> int:
        node, mark = self._root, self._root.start_mark if self._root else None
        for step in at:
            key, node = _below(node, step)
            if node is None:
                break
            mark = key.start_mark
        return mark.line + 1 if mark else 1

    def _line_of(self, error: jsonschema.ValidationError) -> int:
        at = list(error.absolute_path)
        if error.validator == "additionalProperties":
            at.append(_unknown_keys(error)[0])
        return self._line(at)

    def _refuse_twice(self, node: yaml.Node | None, seen: set[int]) -> None:
        """YAML readers take the last of two equal keys in silence."""
        if node is None or id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for one in node.value:
                self._refuse_twice(one, seen)
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        raise self._error(key.start_mark.line + 1, f"'{key.value}' stands here a second time")
                    keys.add(key.value)
                self._refuse_twice(value, seen)


def _below(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | tuple[None, None]:
    """The node that names an entry and the node of its value; an entry of a list names itself."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step], node.value[step]
    return None, None


def _unknown_keys(error: jsonschema.ValidationError) -> list[str]:
    return sorted(str(key) for key in error.instance if key not in error.schema["properties"])


def _words(error: jsonschema.ValidationError) -> tuple[int, str]:
    """Its rank (what is missing comes last: it may only be misspelt), and the error in words for the user."""
    field = error.absolute_path[-1] if error.absolute_path else "the file"
    where = f"entry {field + 1}" if isinstance(field, int) else f"'{field}'" if error.absolute_path else "the file"
    shown = repr(error.instance)
    shown = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "…"
    limit = error.validator_value
    if error.validator == "required":
        missing = ", ".join(f"'{key}'" for key in limit if key not in error.instance)
        return 1, f"{where} lacks {missing}"
    sentences = {
        "additionalProperties": lambda: (
            f"'{_unknown_keys(error)[0]}' is not known here; known are " + ", ".join(error.schema["properties"])
        ),
        "type": lambda: f"{where} must be {_KINDS[limit]}, not {shown}",
        "enum": lambda: f"{where} must be one of {', '.join(limit)}, not {shown}",
        "maxLength": lambda: (
            f"{where} must have at most {limit} characters (AAPM TG-263), not {len(error.instance)}: {shown}"
        ),
        "minLength": lambda: f"{where} must not be empty",
        "minItems": lambda: f"{where} must not be empty",
        "pattern": lambda: f"{where} must be {error.schema['description']}, not {shown}",
        "minimum": lambda: f"{where} must be {limit} or more, not {shown}",
        "maximum": lambda: f"{where} must be {limit} or less, not {shown}",
        "exclusiveMinimum": lambda: f"{where} must be more than {limit}, not {shown}",
        "not": lambda: f"{where} must have either of {' and '.join(limit['required'])}, not both",
    }
    return 0, sentences[str(error.validator)]() if error.validator in sentences else f"{where}: {error.message}"
