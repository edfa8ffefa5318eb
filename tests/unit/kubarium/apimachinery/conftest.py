import hypothesis
import pytest

from kubarium.apimachinery.schema import catalog

# Examples may take long on a busy machine; how long is no question of these tests.
hypothesis.settings.register_profile("unhurried", deadline=None, derandomize=True)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def schemas() -> catalog.Catalog:
    """The schemas of all built-in kinds."""
    return catalog.load()
