"""Configuration of Sphinx."""

from importlib.metadata import version as version_of

project = "aioelection"
author = "the aioelection authors"
project_copyright = "the aioelection authors"
release = version = version_of("aioelection")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"aioelection {release}"
