"""The caller's key of the API: an environment variable, or a file beside the stack's outputs."""

from __future__ import annotations

import os
from pathlib import Path

KEY_VARIABLE = "VECTORFLEET_KEY"
KEY_FILE = "key"


def find_key(outputs: Path) -> str:
    """Return VECTORFLEET_KEY; unless it is set, set it for this process and its children from the file, if any."""
    path = outputs.with_name(KEY_FILE)
    if KEY_VARIABLE not in os.environ and path.is_file():
        os.environ[KEY_VARIABLE] = path.read_text(encoding="utf-8").strip()
    return os.environ.get(KEY_VARIABLE, "")


def save_key(outputs: Path, key: str) -> Path:
    """Write a key to the file, for its owner alone to read."""
    path = outputs.with_name(KEY_FILE)
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(f"{key}\n", encoding="utf-8")
    return path
