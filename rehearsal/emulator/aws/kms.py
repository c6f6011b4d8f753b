"""Encryption keys that keep their rotation period."""

from __future__ import annotations

import json
from typing import Any

from moto.kms.responses import KmsResponse

from rehearsal.emulator.corrections import Method, corrects

DEFAULT_PERIOD_DAYS = 365


def _key(response: Any) -> Any:
    backend = response.kms_backend
    return backend.keys[backend.get_key_id(response._get_param("KeyId"))]


@corrects(KmsResponse, "enable_key_rotation")
def _enable_key_rotation(plain: Method, self: Any) -> Any:
    """Store the rotation period, which moto drops."""
    answer = plain(self)
    _key(self).rotation_period = self._get_param("RotationPeriodInDays") or DEFAULT_PERIOD_DAYS
    return answer


@corrects(KmsResponse, "get_key_rotation_status")
def _get_key_rotation_status(plain: Method, self: Any) -> str:
    """Return the stored rotation period."""
    answer = json.loads(plain(self))
    if answer["KeyRotationEnabled"]:
        answer["RotationPeriodInDays"] = _key(self).__dict__.get("rotation_period", DEFAULT_PERIOD_DAYS)
    return json.dumps(answer)
