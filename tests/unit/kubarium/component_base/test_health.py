"""Pages of health: all checks together, or one of them with its reason."""

from __future__ import annotations

from kubarium.component_base.health import Health


async def fails() -> None:
    raise RuntimeError("nobody is there")


async def ask(health: Health, path: str, query: str = "") -> tuple[int, str]:
    page = path.split("/")[1]
    status, _, body = await health.answer(page, {"path": path, "query_string": query.encode()})
    return status, body.decode()


async def test_all_checks() -> None:
    health = Health()
    assert await ask(health, "/livez") == (200, "ok")
    assert await ask(health, "/livez", "verbose") == (200, "[+]ping ok\nlivez check passed\n")
    health.add("etcd", fails)
    text = "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n"
    assert await ask(health, "/livez") == (500, text)


async def test_checks_are_excluded() -> None:
    health = Health()
    health.add("etcd", fails)
    assert await ask(health, "/readyz", "exclude=etcd") == (200, "ok")
    text = (
        "[+]ping ok\n[+]etcd excluded: ok\n"
        'warn: some health checks cannot be excluded: no matches for "a,b","c"\nreadyz check passed\n'
    )
    assert await ask(health, "/readyz", "verbose&exclude=etcd&exclude=c&exclude=a,b") == (200, text)


async def test_one_check() -> None:
    health = Health()
    health.add("etcd", fails, "readyz")
    assert await ask(health, "/readyz/ping", "verbose") == (200, "ok")
    assert await ask(health, "/readyz/etcd") == (500, "internal server error: nobody is there\n")
    assert await ask(health, "/livez/etcd") == (404, "404 page not found\n")
