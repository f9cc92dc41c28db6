"""The command ``aioelection``; it takes the extra ``cli``."""

import importlib.util
import sys


def main() -> None:
    """Run the command line."""
    missing = [name for name in ("typer", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"aioelection: {' and '.join(missing)} not installed; get it with: pip install 'aioelection[cli]'")
    from aioelection.cli._app import app  # noqa: PLC0415 (it needs what was looked for above)

    app(prog_name="aioelection")
