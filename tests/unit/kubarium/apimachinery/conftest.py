import pytest

from kubarium.apimachinery.schema import catalog


@pytest.fixture(scope="session")
def schemas() -> catalog.Catalog:
    """The schemas of all built-in kinds."""
    return catalog.load()
