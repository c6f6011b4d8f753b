"""Encryption keys that remember how often they rotate.

Corrects in moto 5.2.5: the rotation period is dropped, so whoever asked for one finds another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.kms.responses import KmsResponse

DEFAULT_PERIOD_DAYS = 365


def _key(response: Any) -> Any:
    backend = response.kms_backend
    return backend.keys[backend.get_key_id(response._get_param("KeyId"))]


def _enable(plain: Callable[[Any], str]) -> Callable[[Any], str]:
    def enable_key_rotation(self: Any) -> str:
        answer = plain(self)
        _key(self).rotation_period = self._get_param("RotationPeriodInDays") or DEFAULT_PERIOD_DAYS
        return answer

    return enable_key_rotation


def _status(plain: Callable[[Any], str]) -> Callable[[Any], str]:
    def get_key_rotation_status(self: Any) -> str:
        answer = json.loads(plain(self))
        if answer["KeyRotationEnabled"]:
            answer["RotationPeriodInDays"] = _key(self).__dict__.get("rotation_period", DEFAULT_PERIOD_DAYS)
        return json.dumps(answer)

    return get_key_rotation_status


def install() -> None:
    """Put the corrections on moto's class."""
    KmsResponse.enable_key_rotation = _enable(KmsResponse.enable_key_rotation)
    KmsResponse.get_key_rotation_status = _status(KmsResponse.get_key_rotation_status)
