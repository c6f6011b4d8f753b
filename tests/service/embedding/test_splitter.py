"""Chunks hold all of the text, are no longer than allowed, and cut no word that fits."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from service.embedding.splitter import SPLITTER, heading, split
from service.storage.builds import Chunking

WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30)
ENDS = st.sampled_from([" ", ". ", "! ", "? ", "\n", "\n\n", ", ", "  "])
PROSE = st.lists(st.tuples(WORDS, ENDS), max_size=60).map(lambda parts: "".join(w + e for w, e in parts))
# The longest word that PROSE makes has thirty letters and a full stop.
SIZES = st.integers(31, 200)


def _bare(text: str) -> str:
    return "".join(text.split())


@given(st.text(max_size=400), st.integers(1, 80))
def test_only_white_space_of_a_text_is_lost(text: str, size: int) -> None:
    assert _bare("".join(split("", text, Chunking(size, 0)))) == _bare(text)


@given(PROSE, st.integers(1, 200), st.integers(0, 250))
def test_no_chunk_is_longer_than_the_size(text: str, size: int, overlap: int) -> None:
    assert all(len(chunk) <= size for chunk in split("", text, Chunking(size, overlap)))


@given(PROSE, SIZES)
def test_words_that_fit_are_not_cut(text: str, size: int) -> None:
    chunks = split("a title", text, Chunking(size, 0))
    assert [word for chunk in chunks for word in chunk.split()] == (text.split() or ["a", "title"])


@given(PROSE, SIZES, st.integers(1, 60))
def test_overlapping_chunks_are_passages_and_cover_every_word(text: str, size: int, overlap: int) -> None:
    chunks = [" ".join(chunk.split()) for chunk in split("a title", text, Chunking(size, overlap))]
    whole = " ".join(text.split()) or "a title"
    assert all(chunk in whole for chunk in chunks)
    assert whole.startswith(chunks[0])
    assert whole.endswith(chunks[-1])
    assert {word for chunk in chunks for word in chunk.split()} == set(whole.split())


def test_sentences_that_fit_stay_whole() -> None:
    text = "Stops an instance. It can be started again.\nData on its disks is kept, e.g. swap space."
    assert split("StopInstances", text, Chunking(45, 0)) == [
        "Stops an instance. It can be started again.",
        "Data on its disks is kept, e.g. swap space.",
    ]


def test_the_overlap_repeats_the_last_sentences_that_fit() -> None:
    text = "One is here. Two is here. Three is here."
    assert split("", text, Chunking(30, 13)) == ["One is here. Two is here.", "Two is here. Three is here."]
    assert split("", text, Chunking(30, 5)) == ["One is here. Two is here.", "Three is here."]


def test_a_document_without_text_is_its_title() -> None:
    assert split("StopInstances", " \n ", Chunking(300, 0)) == ["StopInstances"]


def test_a_chunk_is_embedded_with_its_title_once() -> None:
    assert heading("StopInstances", "Stops it.") == "StopInstances. Stops it."
    assert heading("StopInstances", "StopInstances") == "StopInstances"
    assert heading("", "Stops it.") == "Stops it."


def test_a_text_may_be_cut_at_a_tab() -> None:
    chunks = split("", "one\ttwo\tthree\tfour", Chunking(size=9, overlap=0))
    assert chunks == ["one two", "three", "four"]


_ENDS_2 = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|\n+")
ANYWHERE = st.text(st.sampled_from("aB. !\n\t\u2028"), max_size=200) | PROSE | st.text(max_size=200)


@given(ANYWHERE, st.integers(1, 60), st.integers(0, 60))
def test_a_splitter_name_always_means_the_same_chunks(text: str, size: int, overlap: int) -> None:
    assert SPLITTER == "sentences-2"
    assert split("title", text, Chunking(size, overlap)) == _sentences_2("title", text, Chunking(size, overlap))


def _sentences_2(title: str, text: str, chunking: Chunking) -> list[str]:
    """Split in quadratic time, as the first program with this splitter name did, whose builds still exist."""
    pieces = [piece for sentence in _sentences(text) for piece in _fitting(sentence, chunking.size)]
    chunks: list[str] = []
    current: list[str] = []
    for piece in pieces:
        if current and _length([*current, piece]) > chunking.size:
            chunks.append(" ".join(current))
            current = _tail(current, chunking.overlap, chunking.size - len(piece) - 1)
        current.append(piece)
    if current:
        chunks.append(" ".join(current))
    return chunks or [title]


def _sentences(text: str) -> list[str]:
    return [folded for part in _ENDS_2.split(text) if (folded := " ".join(part.split()))]


def _fitting(sentence: str, size: int) -> list[str]:
    pieces = []
    while len(sentence) > size:
        cut = sentence.rfind(" ", 1, size + 1)
        cut = cut if cut > 0 else size
        pieces.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [piece for piece in [*pieces, sentence] if piece]


def _tail(sentences: list[str], overlap: int, room: int) -> list[str]:
    kept: list[str] = []
    for sentence in reversed(sentences):
        if _length([sentence, *kept]) > min(overlap, room):
            break
        kept.insert(0, sentence)
    return kept


def _length(sentences: list[str]) -> int:
    return sum(map(len, sentences)) + len(sentences) - 1
