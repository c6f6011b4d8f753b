"""Vectors as files give them: lists of numbers, or base64 of little-endian float32."""

from __future__ import annotations

import base64
import binascii

import numpy as np


def vector_bytes(given: object) -> bytes:
    """As little-endian float32, nothing where there is none. ValueError says what a vector has to be."""
    if isinstance(given, str):
        try:
            found = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"is no base64: {error}") from error
        if len(found) % 4:
            raise ValueError(f"has {len(found)} bytes, which are no float32s")
        return found
    numbers = isinstance(given, list) and all(type(one) in (int, float) for one in given)
    if not numbers:
        raise ValueError("must be a list of numbers, or base64 of little-endian float32")
    return np.asarray(given, "<f4").tobytes()
