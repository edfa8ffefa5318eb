"""All tests; `tests.published` says where those find what is not committed."""
