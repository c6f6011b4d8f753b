"""HTTP/1.1 by uvicorn, with a limit for a request's head: a caller without a key must not fill the memory."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The limit of AWS's load balancers, beyond the head's first piece.
MOST_HEAD_BYTES = 64 << 10
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 37\r\nconnection: close\r\n\r\nthe request's head is larger than 64K"
)


class BoundedHeads(HttpToolsProtocol):
    """A protocol that ends a connection whose request has a larger head."""

    _head_bytes = -1  # of an incomplete head, without its first piece; -1 if none is under way

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = -1
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.transport.write(TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)
