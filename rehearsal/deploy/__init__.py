"""The embedded deployer: the unmodified Pulumi program, applied to the emulated AWS without the Pulumi CLI."""

from rehearsal.deploy.errors import DeployError
from rehearsal.deploy.launcher import destroy, preview, up
from rehearsal.deploy.summary import Step, Summary

__all__ = ["DeployError", "Step", "Summary", "destroy", "preview", "up"]
