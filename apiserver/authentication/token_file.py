"""Fixed tokens from a file: `token,user,uid,"group1,group2"` per line (`--token-auth-file`)."""

from __future__ import annotations

import csv
from pathlib import Path

from apiserver.authentication.authenticator import Credentials
from apiserver.request import User


class TokenFile:
    """Knows the tokens of one file, read once."""

    def __init__(self, path: str) -> None:
        self._users: dict[str, User] = {}
        with Path(path).open(newline="") as file:
            for row in csv.reader(file):
                if row:
                    self._add(row)

    def _add(self, row: list[str]) -> None:
        if len(row) < 3 or not row[0]:
            raise ValueError("a token file has lines of the form: token,user,uid,groups")
        groups = tuple(group.strip() for group in row[3].split(",")) if len(row) > 3 else ()
        self._users[row[0].strip()] = User(row[1].strip(), row[2].strip(), groups)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user of a known token."""
        return self._users.get(credentials.bearer_token)
