"""Settings of the site, for sphinx: `make docs` builds it."""

import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.ext import autosummary

from isavae import __version__

sys.path.insert(0, str(Path(__file__).parent))

import from_code

project = "isavae"
author = copyright = "The isavae developers"
release = __version__
# Sentences of docstrings do not end after these.
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.", "Eqs.", "Fig.", "Figs.")
html_title = f"isavae {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
exclude_patterns = ["_build"]
# Fields of several classes are named like a type; annotations mean the type.
suppress_warnings = ["ref.python"]

# Links to a heading are checked as links to a page are.
myst_heading_anchors = 4

# In docstrings `x` is code.
default_role = "code"
autodoc_default_options = {"exclude-members": "model_config, set_inverse_transform_request"}
autodoc_member_order = "groupwise"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_attr_annotations = False


def setup(app: Sphinx) -> None:
    app.connect("source-read", from_code.fill)
    app.connect("autodoc-process-docstring", from_code.escape, priority=400)  # before napoleon
