"""What a process does for itself."""

from __future__ import annotations

import resource

from kubarium.component_base.process import allow_many_files


def test_as_many_files_as_the_machine_allows() -> None:
    before = soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most) - 1, most))
        allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
