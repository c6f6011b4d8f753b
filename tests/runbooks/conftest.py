"""What the tests of runbooks share: a page as text that each test breaks in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.runner.page import Page, parse_page

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
python -m runbooks fleet
```

- Expect: exit 0; `python -m runbooks fleet --field state` prints `complete` within 20s
- Budget: 1m
- If not: go to 3

## 2. Push

```sh
python -m runbooks launch
```

- Expect: exit 0
- Budget: 2m
- Undo: `python -m runbooks groups`
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
