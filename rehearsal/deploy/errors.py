"""What a deployment refuses, each as one sentence that a person can act on."""

from __future__ import annotations


class DeployError(Exception):
    """A deployment cannot go on; the text says what was given, what is allowed and what to do."""


class UnsupportedError(DeployError):
    """The program asks for a type, a property or an option that the deployer's table does not know."""


class RefusedError(DeployError):
    """The request itself is understood but must not be carried out (protection, a foreign endpoint)."""
