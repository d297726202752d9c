"""What the modules of the package import, by their syntax."""

import ast
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

PACKAGE = ROOT / "cvtbatch"
MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the full names that a file imports, wherever in it; a package whose names load late imports what its stub says."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    if (stub := path.with_suffix(".pyi")).exists():
        late = [node for node in ast.walk(parse(stub)) if isinstance(node, ast.ImportFrom) and node.level == 1]
        found |= {".".join((*path.parent.relative_to(ROOT).parts, str(node.module))) for node in late}
    return frozenset(found)
