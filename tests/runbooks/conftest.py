"""Fixtures of the tests of runbooks: a page that each test breaks in one place, and an AWS in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from moto import mock_aws

from runbooks.pages.page import Page, parse_page

SOUND = """\
# RB-07 Something breaks

- Use when: the alarm `…-error-rate` rings.
- Customer sees: errors,
  many of them.
- Do not use when: nothing is broken.
- Target: RTO 10m, RPO 0s

## 1. Look

- Why: to see it.

```sh {"name": "look"}
vectorfleet fleet
```

- Expect: exit 0; `vectorfleet fleet --field state` prints `complete` within 20s
- Budget: 1m
- If not: go to 3

## 2. Push

```sh
vectorfleet launch
```

- Expect: exit 0
- Budget: 2m
- Undo: `vectorfleet groups`
- If not: go to 1, at most 2 times, then go to 3
- Then: done

## 3. Call

- Person: call somebody.
"""


@pytest.fixture
def sound_text() -> str:
    """A page without a problem."""
    return SOUND


@pytest.fixture
def sound_page() -> Page:
    return parse_page(SOUND, Path("RB-07-something.md"))


@pytest.fixture(scope="module")
def mocked_aws() -> Iterator[None]:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with mock.patch.dict(os.environ, keys), mock_aws():
        os.environ.pop("AWS_ENDPOINT_URL", None)
        yield
