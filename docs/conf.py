"""Settings of the documentation site, which `make docs` builds of the checkout's Markdown and of the code.

Its root is the checkout, so that links among README, docs/, deploy/ and CONTRIBUTING.md are the same here and in any
other reader of Markdown, and a broken one ends the build.
"""

import sys
from pathlib import Path

import cvtbatch

sys.path.insert(0, str(Path(__file__).parent))

project = "cvtbatch"
author = "the cvtbatch authors"
version = release = cvtbatch.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
include_patterns = ["*.md", "docs/**", "deploy/*.md", "tests/*/README.md"]
exclude_patterns = [".*", "build", "demo"]
root_doc = "docs/index"
# Two hyphens are an option, and no dash.
smartquotes = False
nitpicky = True
# What a signature names of other libraries; links of our own pages are no Python references.
nitpick_ignore_regex = [("py:.*", ".*")]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
# Docstrings set names of code in single backquotes.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"cvtbatch {release}"
html_static_path = ["site/static"]
html_css_files = ["cvtbatch.css"]
html_extra_path = ["site/index.html"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
# A page that is opened from a disk may not fetch the text of another one.
html_show_search_summary = False
