"""A model small enough to know its vectors by heart, written as ONNX's protobuf, and a tokenizer of five words."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "red": 3, "green": 4, "blue": 5, "word": 6}
# Marks and unknown words have a component of their own, which shows whether they were counted.
TABLE = (
    (0.0, 0.0, 0.0, 9.0),
    (0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 0.0, 1.0),
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.0),
    (1.0, 1.0, 1.0, 1.0),
)
DIMS = 4
FLOAT, INT32, INT64 = 1, 6, 7
INPUTS: Mapping[str, int] = {"input_ids": INT64, "attention_mask": INT64, "token_type_ids": INT64}


def folder(path: Path, *, model: bytes | None = None, files: Mapping[str, object] | None = None) -> Path:
    """Write an export: the model, the tokenizer, and `files` as JSON beside them."""
    path.mkdir(exist_ok=True)
    (path / "model.onnx").write_bytes(onnx() if model is None else model)
    tokenizer().save(str(path / "tokenizer.json"))
    for name, said in {"sentence_bert_config.json": {"max_seq_length": 8}, **(files or {})}.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(json.dumps(said))
    return path


def tokenizer() -> Tokenizer:
    """Return a tokenizer of words at spaces, between the two marks."""
    made = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [(mark, VOCABULARY[mark]) for mark in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    made.add_special_tokens(["[UNK]", "[CLS]", "[SEP]"])
    return made


def onnx(
    *,
    inputs: Mapping[str, int] = INPUTS,
    table: Sequence[Sequence[float]] = TABLE,
    pooled: str = "",
    tokens: bool = True,
    positions: int = 0,
) -> bytes:
    """Return a model with a row of the table for each token, unless not `tokens`.

    With `pooled` it also has an output of this name with the largest of each component. With `positions` it takes texts
    of exactly this many tokens.
    """
    dims = len(table[0])
    weights = [_tensor("table", table)]
    nodes = [_node("Gather", ["table", "input_ids"], "rows" if positions else "last_hidden_state")]
    if positions:
        weights.append(_tensor("positions", [[0.0] * dims] * positions))
        nodes.append(_node("Add", ["rows", "positions"], "last_hidden_state"))
    outputs = [_value("last_hidden_state", FLOAT, ("batch", "sequence", dims))] if tokens else []
    if pooled:
        nodes.append(_node("ReduceMax", ["last_hidden_state"], pooled, _axes(1), _flag("keepdims", 0)))
        outputs.append(_value(pooled, FLOAT, ("batch", dims)))
    given = [_value(name, kind, ("batch", "sequence")) for name, kind in inputs.items()]
    graph = [*(_part(1, node) for node in nodes), _part(2, b"tiny"), *(_part(5, one) for one in weights)]
    graph += [*(_part(11, one) for one in given), *(_part(12, one) for one in outputs)]
    return _number(1, 8) + _part(7, b"".join(graph)) + _part(8, _part(1, b"") + _number(2, 13))


def _tensor(name: str, rows: Sequence[Sequence[float]]) -> bytes:
    raw = b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows)
    shape = _number(1, len(rows)) + _number(1, len(rows[0]))
    return shape + _number(2, FLOAT) + _part(8, name.encode()) + _part(9, raw)


def _node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    named = b"".join(_part(1, name.encode()) for name in inputs) + _part(2, output.encode())
    return named + _part(4, kind.encode()) + b"".join(_part(5, one) for one in attributes)


def _axes(axis: int) -> bytes:
    return _part(1, b"axes") + _number(8, axis) + _number(20, 7)


def _flag(name: str, value: int) -> bytes:
    return _part(1, name.encode()) + _number(3, value) + _number(20, 2)


def _value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    sizes = (_part(2, size.encode()) if isinstance(size, str) else _number(1, size) for size in shape)
    whole = _number(1, kind) + _part(2, b"".join(_part(1, size) for size in sizes))
    return _part(1, name.encode()) + _part(2, _part(1, whole))


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
