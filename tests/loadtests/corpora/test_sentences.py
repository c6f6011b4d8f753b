from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.sentences import closed, prose


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One line", "One line."),
        ("Two\n   lines.\n\nAnother paragraph", "Two lines. Another paragraph."),
        ("The heading\n***********\n\nText.", "The heading. Text."),
        ("=====\nTitle\n=====", "Title."),
        ("Example:\n\n>>> 1 + 1\n2\n\nMore.", "Example: More."),
        ("Example:\n    >>> 1 + 1\n    2", "Example:"),
        ("a - b", "a - b."),
        (">>> 1", ""),
        (" \n\n \t", ""),
    ],
)
def test_paragraphs_become_sentences(text: str, sentences: str) -> None:
    assert prose(text) == sentences


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=6))
def test_every_paragraph_survives_apart_from_the_others(paragraphs: list[str]) -> None:
    assert prose("\n\n".join(paragraphs)) == " ".join(map(closed, paragraphs))
