"""Infrastructure: the plan that sizes a fleet, and the Pulumi program that deploys it."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
