"""Parts of paths that may be any text, as ids and names from callers are."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor


class AnyText(StringConvertor):
    """The rest of a path, line breaks included: Starlette's own `path` stops before them."""

    regex = r"[\s\S]*"


register_url_convertor("any", AnyText())
SOURCE_ID = "{source_id:any}"
COLLECTION = "{name:any}"
