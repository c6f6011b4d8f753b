"""
The entry of the folder: Pulumi runs it as its program, and `python -m infra` is the command `vectorfleet`.

Pulumi's executor runs the folder by path. Then there is no package, and the folder itself is first in `sys.path`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def run_program() -> None:
    """
    Register the stack, with the project's root in `sys.path`.

    Raises pulumi.RunError for a refused configuration: Pulumi prints its message without a traceback.
    """
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    import pulumi

    from infra.configuration.stack_settings import ConfigError
    from infra.planning.plan import PlanError
    from infra.program import deploy

    try:
        deploy(for_real=True)
    except (ConfigError, PlanError) as error:
        raise pulumi.RunError(str(error)) from None


if __name__ == "__main__":
    if __package__:
        from vectorfleet.door import main

        main(prog_name="python -m infra")
    else:
        run_program()
