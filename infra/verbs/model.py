"""The embedding model that instances run themselves."""

from __future__ import annotations

from pathlib import Path

import click

from infra.artifact import PROJECT_ROOT
from vectorfleet.refusal import refusing


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def model(folder: Path) -> None:
    """
    Pack an embedding model's FOLDER for instances, as one zip in dist/.

    FOLDER holds model.onnx and tokenizer.json, as sentence-transformers exports them; the zip is
    dist/model-<version>.zip, with a version made of its files.
    """
    from infra import model_files

    with refusing(model_files.ModelFilesError):
        made = model_files.pack(folder, PROJECT_ROOT)
    click.echo(f"{made.path}: {made.path.stat().st_size / 1e6:,.0f} MB; set embedding.version to {made.version}")
