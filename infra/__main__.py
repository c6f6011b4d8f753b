"""
One entry, two callers: `python -m infra` is the command line; Pulumi runs this folder as its program.

Pulumi's executor runs the folder by path, so that there is no package and the folder itself leads `sys.path`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def run_program() -> None:
    """
    Import the package from the project's root, as `python -m infra` does, and register the stack.

    Raises pulumi.RunError for what is refused: Pulumi prints its message alone, and a traceback for anything else.
    """
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    import pulumi

    from infra.config import ConfigError
    from infra.plan import PlanError
    from infra.program import deploy

    try:
        deploy(for_real=True)
    except (ConfigError, PlanError) as error:
        raise pulumi.RunError(str(error)) from None


if __name__ == "__main__":
    if __package__:
        from infra.cli import main

        main()
    else:
        run_program()
