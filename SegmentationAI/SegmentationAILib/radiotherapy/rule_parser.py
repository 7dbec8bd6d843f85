"""Reads the text of a rule; an error names the column and what was expected there.

Recursive descent over::

    rule    = product { ("+" | "-") product }
    product = part { "&" part }
    part    = name [ "?" ] | function "(" argument { "," argument } ")" | "(" rule ")"
    argument = rule | number | option "=" (rule | number)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.rules import (
    BARE_NAME,
    FUNCTIONS,
    Call,
    Combination,
    Rule,
    Signature,
    Source,
    key,
    terms,
)

# Far beyond any protocol, and well within what recursion can hold.
_MOST_TOKENS = 200
_LONGEST_SHOWN = 160
_TOKEN = re.compile(
    r"\s*(?:"
    rf"(?P<name>{BARE_NAME.pattern})"
    r'|(?P<quoted>"(?:[^"]|"")+")'
    r"|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
    r"|(?P<sign>[-+&(),=?])"
    r"|(?P<end>$)"
    r")"
)


def parse_rule(text: str) -> Rule:
    """The rule that a text says; ``str`` of it gives the text back, evenly spaced.

    Raises:
        InputError: it is no rule; the sentence names the column, counted from 1.
    """
    parser = _Parser(text)
    rule = parser.sum()
    if parser.token.kind != "end":
        parser.fail("an operator (+, -, &) or the end")
    return rule


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split()
        self.at = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def sum(self) -> Rule:
        rule = self._product()
        while self._is_sign("+", "-"):
            operator = self._next().text
            rule = Combination(operator, rule, self._product())
        return rule

    def fail(self, expected: str, token: _Token | None = None) -> NoReturn:
        token = token or self.token
        found = f"'{token.text}'" if token.text else "the end"
        self._refuse(token.column, f"expected {expected}, found {found}")

    def _refuse(self, column: int, why: str) -> NoReturn:
        text = self.text if len(self.text) <= _LONGEST_SHOWN else self.text[:_LONGEST_SHOWN] + "…"
        raise InputError(f"In the rule '{text}', column {column}: {why}; correct the rule.")

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while not tokens or tokens[-1].kind != "end":
            match = _TOKEN.match(self.text, position)
            column = len(self.text) - len(self.text[position:].lstrip()) + 1
            if len(tokens) == _MOST_TOKENS:
                self._refuse(column, f"it has more than {_MOST_TOKENS} words and signs")
            if match is None:
                unknown = _Token("unknown", self.text[column - 1], column)
                self.fail("a name, a number or one of + - & ( ) , = ?", unknown)
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
            position = match.end()
        return tokens

    def _product(self) -> Rule:
        rule = self._part()
        while self._is_sign("&"):
            self._next()
            rule = Combination("&", rule, self._part())
        return rule

    def _part(self) -> Rule:
        token = self.token
        if token.kind == "quoted":
            return self._source(self._next().text[1:-1].replace('""', '"'))
        if token.kind == "name":
            self._next()
            return self._call(token) if self._is_sign("(") else self._source(token.text)
        if not self._is_sign("("):
            self.fail("a structure's name, a function or '('")
        self._next()
        rule = self.sum()
        self._expect(")")
        return rule

    def _source(self, name: str) -> Source:
        optional = self._is_sign("?")
        if optional:
            self._next()
        return Source(name, optional)

    def _call(self, name: _Token) -> Call:
        signature = FUNCTIONS.get(name.text)
        if signature is None:
            self.fail(f"one of the functions {', '.join(FUNCTIONS)}", name)
        self._expect("(")
        arguments: list[Rule | float] = []
        options: dict[str, Rule | float] = {}
        while True:
            if self.token.kind == "name" and self.tokens[self.at + 1].text == "=":
                self._option(signature, options)
            else:
                self._argument(signature, arguments, bool(options))
            if not self._is_sign(","):
                break
            self._next()
        if self._missing(signature, arguments):
            self.fail(f"another structure: {name.text} takes {_needs(signature)}")
        self._expect(")")
        call = Call(name.text, tuple(arguments), tuple(options.items()))
        self._check(call)
        return call

    def _argument(self, signature: Signature, arguments: list[Rule | float], after_options: bool) -> None:
        most = signature.structures[1]
        structures = sum(not isinstance(one, float) for one in arguments)
        full = most is not None and structures == most
        if after_options or len(arguments) > structures or (full and not signature.distance):
            options = " or ".join(f"{one}=" for one in signature.options)
            self.fail(f"{options} or ')'" if options else "')'")
        if full:
            arguments.append(self._number("a distance in mm"))
        elif self.token.kind == "number" or self._is_sign("-", "+"):
            self.fail("a structure's name, a function or '('")
        else:
            arguments.append(self.sum())

    def _option(self, signature: Signature, options: dict[str, Rule | float]) -> None:
        name = self.token
        if name.text not in signature.options:
            known = ", ".join(signature.options)
            self.fail(f"one of the options {known}" if known else "no option, as this function has none")
        if name.text in options:
            self.fail(f"{name.text}= only once")
        self._next()
        self._expect("=")
        if name.text in signature.distances:
            start = self.token
            distance = self._number(f"a distance in mm for {name.text}")
            if name.text == "gap" and distance < 0:
                self.fail("a gap of 0 mm or more", start)
            options[name.text] = distance
        else:
            options[name.text] = self.sum()

    def _number(self, expected: str) -> float:
        sign = -1.0 if self._is_sign("-") else 1.0
        start = self.token
        if sign < 0:
            self._next()
        if self.token.kind != "number":
            self.fail(expected)
        value = sign * float(self._next().text)
        if not math.isfinite(value):
            self.fail(expected, start)
        return value

    def _check(self, call: Call) -> None:
        """What the grammar alone does not say."""
        options = dict(call.options)
        signature = FUNCTIONS[call.function]
        if signature.distance and len(call.arguments) == 1 and not options.keys() & set(signature.distances):
            self.fail("a distance in mm", self.tokens[self.at - 1])
        if "invaded" in options:
            known = {key(t) for name in ("within", "barriers") if name in options for t in terms(options[name])}
            unknown = [str(t) for t in terms(options["invaded"]) if key(t) not in known]
            if unknown:
                self._refuse(
                    next(one.column for one in reversed(self.tokens[: self.at]) if one.text == "invaded"),
                    f"invaded= names {unknown[0]}, which is neither in within= nor in barriers=",
                )

    def _missing(self, signature: Signature, arguments: list[Rule | float]) -> bool:
        return sum(not isinstance(one, float) for one in arguments) < signature.structures[0]

    def _is_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def _next(self) -> _Token:
        token = self.token
        self.at += 1
        return token

    def _expect(self, sign: str) -> None:
        if not self._is_sign(sign):
            self.fail(f"'{sign}'")
        self._next()


def _needs(signature: Signature) -> str:
    least = signature.structures[0]
    return "one structure" if least == 1 else f"{least} structures"
