"""The embedded deployer, which applies the unmodified Pulumi program to the emulated AWS without the Pulumi CLI."""

from rehearsal.deployer.errors import DeployError
from rehearsal.deployer.launcher import Step, Summary, destroy, preview, up

__all__ = ["DeployError", "Step", "Summary", "destroy", "preview", "up"]
