"""Log groups whose encryption key can change."""

from __future__ import annotations

from typing import Any

from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.responses import LogsResponse

from rehearsal.emulator.corrections import adds


@adds(LogsResponse, "associate_kms_key")
def _associate_kms_key(self: Any) -> str:
    return _set_key(self, self._get_param("kmsKeyId"))


@adds(LogsResponse, "disassociate_kms_key")
def _disassociate_kms_key(self: Any) -> str:
    return _set_key(self, None)


def _set_key(response: Any, key: str | None) -> str:
    group = response.logs_backend.groups.get(response._get_param("logGroupName"))
    if group is None:
        raise ResourceNotFoundException()
    group.kms_key_id = key
    return ""
