"""What an instance's process is told: by its manifest, and by the machine that it runs on."""

from __future__ import annotations

from pathlib import Path

from rehearsal.compute.machine import Facts, Site, environment
from rehearsal.compute.userdata import Artifact, Manifest

SITE, FACTS = Site(Path("/site"), "http://127.0.0.1:4566"), Facts("i-1", "127.0.0.5", "us-east-1a")
CODE, MODEL = (Artifact("b", f"{name}/1.zip", name) for name in ("code", "model"))


def test_the_manifests_environment_is_completed_by_the_machine() -> None:
    told = environment(SITE, FACTS, Manifest(CODE, ("python",), {"VECTORFLEET_ROLE": "router"}))
    assert told["VECTORFLEET_ROLE"] == "router"
    assert told["VECTORFLEET_HOST"] == "127.0.0.5"
    assert told["PYTHONPATH"] == "/site/instances/i-1/artifact"
    assert "VECTORFLEET_MODEL_FOLDER" not in told


def test_who_embeds_by_a_model_of_the_fleets_own_is_told_where_it_lies() -> None:
    told = environment(SITE, FACTS, Manifest(CODE, ("python",), {}, MODEL))
    assert told["VECTORFLEET_MODEL_FOLDER"] == "/site/cache/model"
