"""The rehearsal's own key of the API: made by the same verb as on AWS, kept in the state folder, used by every tool."""

from __future__ import annotations

import os

from infra.operations.access_keys import AccessKeyError, AccessKeys, save_key
from infra.operations.outputs import read_outputs
from rehearsal.session import Session
from service.client import KEY_FILE, KEY_VARIABLE

NAME = "rehearsal"


def take_key(session: Session) -> None:
    """Have this process and its children ask with the key in the state folder; make it where there is none."""
    path = session.root / KEY_FILE
    if not path.exists():
        save_key(session.outputs, _fresh_key(AccessKeys(read_outputs(session.outputs))))
    os.environ[KEY_VARIABLE] = path.read_text(encoding="utf-8").strip()


def _fresh_key(keys: AccessKeys) -> str:
    try:
        return keys.create(NAME, "write")
    except AccessKeyError:
        # Its file is gone, and so is the key: what AWS keeps is a digest.
        keys.revoke(NAME)
        return keys.create(NAME, "write")
