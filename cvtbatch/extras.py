"""The extras of an installation: which libraries each brings, and how one says that they are missing.

`pip install cvtbatch` brings what radiomics, the store and scores need; all else comes with an extra of pyproject.toml. A library
of an extra is imported where it is used, after `require` at the start of what a user asks for.
"""

from importlib.util import find_spec
from typing import Literal

from cvtbatch.errors import ResourceError

Library = Literal[
    "bokeh",
    "cryptography",
    "highdicom",
    "imblearn",
    "matplotlib",
    "pandas",
    "pynetdicom",
    "radiomics",
    "skimage",
    "sklearn",
    "statsmodels",
    "timm",
    "torch",
    "torchvision",
    "trimesh",
]
# Of each library, by the name under which it is imported: the extra, and the name that people know it by.
_BROUGHT_BY: dict[Library, tuple[str, str]] = {
    "bokeh": ("cluster", "bokeh"),
    "cryptography": ("cluster", "cryptography"),
    "highdicom": ("pacs", "highdicom"),
    "imblearn": ("fit", "imbalanced-learn"),
    "matplotlib": ("fit", "matplotlib"),
    "pandas": ("fit", "pandas"),
    "pynetdicom": ("pacs", "pynetdicom"),
    "radiomics": ("stock", "PyRadiomics"),
    "skimage": ("stock", "scikit-image"),
    "sklearn": ("fit", "scikit-learn"),
    "statsmodels": ("fit", "statsmodels"),
    "timm": ("timm", "timm"),
    "torch": ("embed", "torch"),
    "torchvision": ("embed", "torchvision"),
    "trimesh": ("stock", "trimesh"),
}


def installed(library: Library) -> bool:
    """Say whether a library of an extra is here; it is looked for and not loaded, since some take seconds."""
    return find_spec(library) is not None


def require(what: str, *libraries: Library, instead: str = "") -> None:
    """Refuse to begin what libraries are missing for.

    Args:
        what: needs them, with its verb, e.g. "embeddings need".
        instead: how to go on without them.

    Raises:
        ResourceError: "missing_extra": not all of them are here; the message has the line that installs them.
    """
    missing = [_BROUGHT_BY[library] for library in libraries if not installed(library)]
    if missing:
        extras = ",".join(sorted({extra for extra, _ in missing}))
        *others, last = (name for _, name in missing)
        names = f"{', '.join(others)} and {last}" if others else last
        way_on = f", or {instead}" if instead else ""
        raise ResourceError("missing_extra", f"{what} {names}: pip install 'cvtbatch[{extras}]'{way_on}")
