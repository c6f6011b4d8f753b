"""Applying scenes of the playground one after the other, and looking at what they left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deploy
from rehearsal.deploy.cloud import Clouds, provider_settings
from rehearsal.deploy.launcher import Progress, silent
from rehearsal.deploy.s3 import BucketSetting
from rehearsal.deploy.stackfile import redirected
from rehearsal.deploy.table import KINDS
from tests.rehearsal.programs.project import playground

# Create only sets something on another resource; an interrupted one is repeated.
NOTHING_TO_FIND = ("aws:sns/topicPolicy:TopicPolicy",)


class Stage:
    """One state folder and one emulator; scenes are applied to it one after the other."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.root, self.endpoint, self._folder = folder / ".rehearsal", endpoint, folder / "project"

    def up(self, scene: str, *, progress: Progress = silent, **settings: Any) -> deploy.Summary:
        """Apply a scene."""
        project = playground(self._folder, scene, **settings)
        return deploy.up("test", self.root, self.endpoint, progress, project=project)

    def preview(self, scene: str, **settings: Any) -> deploy.Summary:
        """What applying it would do."""
        project = playground(self._folder, scene, **settings)
        return deploy.preview("test", self.root, self.endpoint, project=project)

    def refusal(self, scene: str, **settings: Any) -> str:
        """The one sentence with which applying the scene fails."""
        return self._sentence(lambda: self.up(scene, **settings))

    def refused_end(self) -> str:
        """The one sentence with which removing everything fails."""
        return self._sentence(self.destroy)

    def destroy(self) -> deploy.Summary:
        """Remove everything."""
        return deploy.destroy(self.root, self.endpoint)

    def state(self) -> Any:
        """The folded state."""
        return json.loads((self.root / "deploy.json").read_text())

    def log(self) -> str:
        """What the last apply wrote to standard error."""
        return (self.root / "logs" / "deploy.log").read_text()

    def steady(self, scene: str, **settings: Any) -> deploy.Summary:
        """Apply a scene; again, nothing may happen, and what was made must be found as after an interruption."""
        first = self.up(scene, **settings)
        second = self.up(scene, **settings)
        assert (second.created, second.updated, second.replaced, second.writes) == (0, 0, 0, 0), second
        assert second.outputs == first.outputs, second.outputs
        lost = self.unfindable()
        assert not lost, lost
        return first

    def unfindable(self) -> list[str]:
        """What a create that was interrupted before it was recorded would leave behind for ever."""
        state = self.state()
        clouds = Clouds(provider_settings(redirected(state["settings"], self.endpoint)))
        lost = []
        for resource in state["live"].values():
            kind = KINDS[resource["type"]]
            if isinstance(kind, BucketSetting) or kind.token in NOTHING_TO_FIND:
                continue
            if resource["id"] not in kind.find(clouds.get(region=resource["region"]), resource["inputs"]):
                lost.append(f"{resource['type']} {resource['id']}")
        return lost

    def _sentence(self, call: Callable[[], object]) -> str:
        with pytest.raises(deploy.DeployError) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message
        return message
