"""The stack that a rehearsal deploys: its settings, and its Pulumi program applied with a progress bar."""

from __future__ import annotations

from infra.config import settings_from
from infra.settings import Settings
from infra.stack import own_values, stack_config
from rehearsal import deploy
from rehearsal.narrator import Narrator
from rehearsal.session import Session

STACK = "rehearsal"
READY_SECONDS = 120.0


def settings() -> Settings:
    """What Pulumi.rehearsal.yaml asks for; raises ConfigError."""
    return settings_from(own_values(stack_config(STACK)))


def apply(session: Session, narrator: Narrator, what: str = "resources") -> deploy.Summary:
    """Apply the program; `what` names the bar. Raises DeployError."""
    with narrator.steps(what) as bar:
        return deploy.up(STACK, session.root, session.endpoint, lambda step: bar(step.done, step.expected))
