"""Blocks of text as sentences, since the service's splitter cuts where one ends."""

from __future__ import annotations

import re
from itertools import takewhile

_ENDS = (".", "!", "?", ":", ";", ",")
_BLANK_LINES = re.compile(r"\n\s*\n")
_RULE = re.compile(r"\s*[-=~^*#+]{3,}\s*")
_SESSION = ">>>"


def closed(block: str) -> str:
    """The block with a full stop where it ends without one: it would run into the next one and be split wrongly."""
    return block if block.endswith(_ENDS) else f"{block}."


def prose(text: str) -> str:
    """The paragraphs of a plain text, white space folded; rules under headings and sessions (>>>) are left out."""
    blocks = (_folded(block) for block in _BLANK_LINES.split(text))
    return " ".join(closed(block) for block in blocks if block)


def _folded(block: str) -> str:
    told = takewhile(lambda line: not line.lstrip().startswith(_SESSION), block.splitlines())
    return " ".join(" ".join(line for line in told if not _RULE.fullmatch(line)).split())
