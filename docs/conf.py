"""Configuration of Sphinx."""

from importlib.metadata import version as version_of

project = "aioelection"
author = "the aioelection authors"
project_copyright = "the aioelection authors"
release = version = version_of("aioelection")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"aioelection {release}"
