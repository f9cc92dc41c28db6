"""Configuration of Sphinx."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

import aioelection

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import measured
import states

project = "aioelection"
author = "the aioelection authors"
project_copyright = "the aioelection authors"
release = version = version_of("aioelection")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
exclude_patterns = ["_build", "_ext"]

# A link to what is ours has to lead somewhere. What is not ours is named, and not linked: no page of others is asked
# for when these are built. The parts of the library that are private have no page.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!aioelection\b).*"),
    (r"py:.*", r"aioelection(\.\w+)*\._.*"),
    (r"py:.*", r"aioelection\.(client\.AnyClient|campaign\.OnLoss|run\.Serve|tls\.\w+)"),
]

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"aioelection {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False


class StateDiagram(SphinxDirective):
    """The states of a leadership, drawn from the library's own table, and the table in words."""

    def run(self) -> list[nodes.Node]:
        """Give the picture and the table."""
        self.env.note_dependency(states.__file__)
        picture = nodes.raw("", f'<div class="states-frame">{states.svg()}</div>', format="html")
        return [picture, *self.parse_text_to_nodes(states.table())]


class FaultsTable(SphinxDirective):
    """What a run of the fault suite measured, from the figures that it left."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Give the table."""
        path = Path(__file__).parent / self.arguments[0]
        self.env.note_dependency(str(path))
        return self.parse_text_to_nodes(measured.faults(path))


def link_to_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | None:
    """A type annotation names the module where a class is written; its page has the name under which it is imported."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or not module.startswith("aioelection."):
        return None
    public = "aioelection" if name in aioelection.__all__ else ".".join(module.split(".")[:2])
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{public}.{name}", node, shown)


def keep_from_napoleon(app: Sphinx) -> None:
    """Keep the docstrings of attributes as they are: napoleon takes what stands before a colon in them for a type."""
    written: dict[str, list[str]] = {}

    def keep(*told: Any) -> None:
        _, what, name, _, _, lines = told
        if what in ("attribute", "data", "property"):
            written[name] = list(lines)

    def restore(*told: Any) -> None:
        _, _, name, _, _, lines = told
        lines[:] = written.pop(name, lines)

    app.connect("autodoc-process-docstring", keep, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)


def setup(app: Sphinx) -> None:
    """Add what these pages need."""
    keep_from_napoleon(app)
    app.add_directive("state-diagram", StateDiagram)
    app.add_directive("faults-table", FaultsTable)
    app.connect("missing-reference", link_to_public_name)
