"""A stage that applies scenes of the playground one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deployer
from rehearsal.deployer.cloud import Clouds, provider_settings
from rehearsal.deployer.launcher import Progress, silent
from rehearsal.deployer.resources import KINDS
from rehearsal.deployer.stackfile import redirected
from tests.rehearsal.programs.project import playground


class Stage:
    """One state folder and one emulator."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.root, self.endpoint, self._folder = folder / ".rehearsal", endpoint, folder / "project"

    def up(self, scene: str, *, progress: Progress = silent, **settings: Any) -> deployer.Summary:
        """Apply a scene."""
        project = playground(self._folder, scene, **settings)
        return deployer.up("test", self.root, self.endpoint, progress, project=project)

    def preview(self, scene: str, **settings: Any) -> deployer.Summary:
        """Preview a scene."""
        project = playground(self._folder, scene, **settings)
        return deployer.preview("test", self.root, self.endpoint, project=project)

    def refusal(self, scene: str, **settings: Any) -> str:
        """Return the one sentence with which the apply of a scene fails."""
        return self._sentence(lambda: self.up(scene, **settings))

    def refused_end(self) -> str:
        """Return the one sentence with which the deletion of everything fails."""
        return self._sentence(self.destroy)

    def destroy(self) -> deployer.Summary:
        """Delete everything."""
        return deployer.destroy(self.root, self.endpoint)

    def state(self) -> Any:
        """Return the folded state."""
        return json.loads((self.root / "deploy.json").read_text())

    def log(self) -> str:
        """Return the standard error of the last apply."""
        return (self.root / "logs" / "deploy.log").read_text()

    def steady(self, scene: str, **settings: Any) -> deployer.Summary:
        """Apply a scene twice: the second apply changes nothing, and `find` finds each resource."""
        first = self.up(scene, **settings)
        second = self.up(scene, **settings)
        assert (second.created, second.updated, second.replaced, second.writes) == (0, 0, 0, 0), second
        assert second.outputs == first.outputs, second.outputs
        lost = self.unfindable()
        assert not lost, lost
        return first

    def unfindable(self) -> list[str]:
        """Return the resources that an interrupted create would leave behind for ever."""
        state = self.state()
        clouds = Clouds(provider_settings(redirected(state["settings"], self.endpoint)))
        lost = []
        for resource in state["live"].values():
            kind = KINDS[resource["type"]]
            if kind.repeatable:
                continue
            if resource["id"] not in kind.find(clouds.get(region=resource["region"]), resource["inputs"]):
                lost.append(f"{resource['type']} {resource['id']}")
        return lost

    def _sentence(self, call: Callable[[], object]) -> str:
        with pytest.raises(deployer.DeployError) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message
        return message
