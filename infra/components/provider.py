"""The AWS provider of another region."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws


def provider(region: str) -> aws.Provider:
    """
    Register a provider for `region` with the stack's whole `aws:` configuration.

    An explicit provider inherits nothing: neither endpoints nor credentials nor skipped checks.
    """
    given = pulumi.runtime.config.CONFIG.get()
    settings = {key.removeprefix("aws:"): value for key, value in given.items() if key.startswith("aws:")}
    args = aws.ProviderArgs(region=region)
    for key, value in settings.items():
        if key != "region":
            setattr(args, _snake(key), _decoded(value))
    return aws.Provider(region, args)


def _decoded(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
