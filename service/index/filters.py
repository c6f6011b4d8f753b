"""Conditions on metadata, and columns that match many rows at once.

A filter names fields and their conditions, all of which must hold:

    {"language": "en", "year": {"gte": 2020, "lt": 2024}, "kind": {"in": ["guide", "note"]}}

A bare value means `eq`. Numbers compare with numbers, texts with texts, booleans with booleans. A document without the
field, or with a value of another kind, does not match.
"""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from service.storage.metadata import LARGEST_NUMBER, MOST_FIELDS, MOST_NAME, Value, from_text

Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int64]
Filter: TypeAlias = Mapping[str, Mapping[str, Any]]  # by field, operators with their operands

ORDERED = ("gt", "gte", "lt", "lte")
OPERATORS = ("eq", "in", *ORDERED)
MOST_IN = 1_000
MOST_TEXT = 1_024
MOST_CONDITIONS = 64

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operators.gt,
    "gte": operators.ge,
    "lt": operators.lt,
    "lte": operators.le,
}


class BadFilter(ValueError):
    """An invalid filter; the message says what is allowed."""


def parse(given: Mapping[str, object]) -> Filter:
    """Return the filter with every condition spelt out. Raise BadFilter if it is invalid."""
    if len(given) > MOST_FIELDS:
        raise BadFilter(f"the filter names {len(given)} fields; at most {MOST_FIELDS} are allowed")
    parsed = {_name(field): _conditions(field, condition) for field, condition in given.items()}
    if (count := sum(map(len, parsed.values()))) > MOST_CONDITIONS:
        raise BadFilter(f"the filter has {count} conditions; at most {MOST_CONDITIONS} are allowed")
    return parsed


def _name(field: str) -> str:
    if not 1 <= len(field) <= MOST_NAME:
        raise BadFilter(f"the filter names a field of {len(field)} characters; allowed: 1 to {MOST_NAME}")
    return field


def _conditions(field: str, condition: object) -> dict[str, Any]:
    if not isinstance(condition, Mapping):
        return {"eq": _value(field, "eq", condition)}
    unknown = [operator for operator in condition if operator not in OPERATORS]
    if unknown or not condition:
        shown = f"{unknown[0]!r}" if unknown else "no operator"
        raise BadFilter(f"the filter on {field!r} has {shown}; allowed: {', '.join(OPERATORS)}")
    return {operator: _operand(field, operator, operand) for operator, operand in condition.items()}


def _operand(field: str, operator: str, operand: object) -> Any:
    if operator != "in":
        value = _value(field, operator, operand)
        if operator in ORDERED and isinstance(value, bool):
            raise BadFilter(f"the filter on {field!r} has {operator} with a boolean, which has no order; use eq")
        return value
    if not isinstance(operand, Sequence) or isinstance(operand, str) or not 1 <= len(operand) <= MOST_IN:
        raise BadFilter(
            f"the filter on {field!r} has in with {operand!r:.60}; allowed: a list of 1 to {MOST_IN} values"
        )
    return [_value(field, operator, one) for one in operand]


def _value(field: str, operator: str, value: object) -> Value:
    if not isinstance(value, str | int | float | bool) or not _is_within(value):
        raise BadFilter(
            f"the filter on {field!r} has {operator} with {value!r:.60}; allowed: texts, numbers up to 2^53, "
            "true, false"
        )
    if isinstance(value, str) and len(value) > MOST_TEXT:
        raise BadFilter(f"the filter on {field!r} has a text of {len(value)} characters; at most {MOST_TEXT} allowed")
    return value


def _is_within(value: Value) -> bool:
    """Return whether a number is exact as a float; NaN is not."""
    return isinstance(value, str | bool) or abs(value) <= LARGEST_NUMBER


class _Column:
    """One field of the rows that have it: numbers apart from texts and booleans, each with its row number."""

    def __init__(self) -> None:
        self._rows: tuple[list[int], list[int]] = ([], [])
        self._numbers: list[float] = []
        self._codes: list[int] = []
        self._known: dict[str | bool, int] = {}

    def put(self, row: int, value: Value) -> None:
        if isinstance(value, str | bool):
            self._rows[1].append(row)
            self._codes.append(self._known.setdefault(value, len(self._known)))
        else:
            self._rows[0].append(row)
            self._numbers.append(value)

    def seal(self) -> None:
        """Turn the lists into arrays; nothing may be added afterwards."""
        self._number_rows, self._code_rows = (np.asarray(rows, np.int64) for rows in self._rows)
        self._number_values, self._code_values = np.asarray(self._numbers, float), np.asarray(self._codes, np.int32)
        self._rows, self._numbers, self._codes = ([], []), [], []

    def holding(self, operator: str, operand: Any) -> list[Rows]:
        """Return the numbers of the rows for which the condition holds."""
        operands = operand if operator == "in" else [operand]
        texts = [one for one in operands if isinstance(one, str | bool)]
        numbers = [one for one in operands if not isinstance(one, str | bool)]
        if operator in ("eq", "in"):
            codes = [self._known[one] for one in texts if one in self._known]
            fitting = np.isin(self._number_values, numbers)
        else:
            compare = _COMPARE[operator]
            codes = [
                code for text, code in self._known.items() if isinstance(text, str) and texts and compare(text, operand)
            ]
            fitting = compare(self._number_values, operand) if numbers else np.zeros(len(self._number_values), bool)
        return [self._number_rows[fitting], self._code_rows[np.isin(self._code_values, codes)]]


class Columns:
    """The metadata of some rows, as `to_text` writes it, by field. Memory grows with the number of values."""

    def __init__(self, texts: Iterable[str], rows: int) -> None:
        self._rows = rows
        self._columns: dict[str, _Column] = {}
        # Chunks of one document are adjacent and share one text.
        before, values = "", dict[str, Value]()
        for row, text in enumerate(texts):
            if text != before:
                before, values = text, from_text(text)
            for name, value in values.items():
                self._columns.setdefault(name, _Column()).put(row, value)
        for column in self._columns.values():
            column.seal()

    def matching(self, wanted: Filter) -> Mask:
        """Return a mask of the rows for which every condition holds."""
        mask = np.ones(self._rows, dtype=bool)
        for field, conditions in wanted.items():
            column = self._columns.get(field)
            if column is None:
                return np.zeros(self._rows, dtype=bool)
            for operator, operand in conditions.items():
                held = np.zeros(self._rows, dtype=bool)
                for rows in column.holding(operator, operand):
                    held[rows] = True
                mask &= held
        return mask
