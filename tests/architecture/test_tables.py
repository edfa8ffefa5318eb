"""Each package has a first page, and each table names real things."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = (
    "apiserver", "scheduler", "controller_manager", "cloud_controller_manager", "kubelet", "kube_proxy", "addons",
    "kubarium",
)  # fmt: skip
PACKAGES = sorted(
    path.parent for name in CODE for path in (ROOT / name).rglob("*.py") if "__pycache__" not in path.parts
)


@pytest.mark.parametrize("package", sorted(set(PACKAGES)), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_has_a_first_page(package: Path) -> None:
    page = package / "__init__.py"
    assert page.exists()
    tree = ast.parse(page.read_text())
    assert ast.get_docstring(tree), "the first page says what the package is for"
    assert len(tree.body) == 1, "the first page holds nothing but its docstring"


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((\.\./[^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target
