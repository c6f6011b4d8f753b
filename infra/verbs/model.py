"""The embedding model that instances run themselves."""

from __future__ import annotations

from pathlib import Path

import click

from infra.artifact import PROJECT_ROOT
from infra.verbs.refusal import Refusal


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def model(folder: Path) -> None:
    """
    Pack a model's FOLDER for instances: dist/model-<version>.zip.

    FOLDER holds model.onnx and tokenizer.json, as sentence-transformers exports them; the version is made of its files.
    """
    from infra import model_files

    try:
        made = model_files.pack(folder, PROJECT_ROOT)
    except model_files.ModelFilesError as error:
        raise Refusal(str(error)) from None
    click.echo(f"{made.path}: {made.path.stat().st_size / 1e6:,.0f} MB; set embedding.version to {made.version}")
