"""Resource kinds of the embedded deployer: `KINDS` of each module here, by AWS service."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from rehearsal.deployer.errors import UnsupportedError
from rehearsal.deployer.kind import Kind

_MODULES = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
KINDS: Mapping[str, Kind] = {kind.token: kind for module in _MODULES for kind in module.KINDS}


def kind_of(token: str) -> Kind:
    """Return the kind of a type token. Raise UnsupportedError for an unknown type."""
    try:
        return KINDS[token]
    except KeyError:
        raise UnsupportedError(
            f"the type {token} is not in the deployer's table; add it to a module under rehearsal/deployer/resources "
            "or deploy the stack with the Pulumi CLI"
        ) from None
