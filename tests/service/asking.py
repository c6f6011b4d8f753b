"""One request to an application without a server in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from service.serving import Service

NO_HEADERS: Mapping[str, str] = {}


async def _ask(service: Service, *connection: Any) -> None:
    await service.application(*connection)


def asked(
    service: Service,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] = NO_HEADERS,
    content: bytes | None = b"",
) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and body of one request to an application. A caller without content has left."""
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        if content is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, object] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "app": None,
    }
    # Starlette answers an exception, then raises it again for the server's log.
    with suppress(ZeroDivisionError):
        asyncio.run(_ask(service, scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}, body
