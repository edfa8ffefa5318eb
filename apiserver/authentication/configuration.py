"""Who issues tokens that are believed, from `--authentication-config` or the older `--oidc-*` flags.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apiserver import configuration
from apiserver.authentication import claims
from apiserver.authentication.claims import ClaimMappings, Rule, Source
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.apimachinery import names
from kubarium.apimachinery.cel import nodes, parser, types
from kubarium.apimachinery.cel.compiler import CompileError, Program
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    invalid,
    required,
    too_many,
)
from kubarium.apimachinery.object import Object

KIND = "AuthenticationConfiguration"
VERSIONS = tuple(f"{configuration.GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
MAX_ISSUERS = 64
ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
MATCH_ANY = "MatchAny"

_PREFIXED = {"claim": None, "prefix": None, "expression": None}
_ISSUER = {
    "url": None, "discoveryURL": None, "certificateAuthority": None, "audiences": None, "audienceMatchPolicy": None,
    "egressSelectorType": None,
}  # fmt: skip
_MAPPINGS = {
    "username": _PREFIXED,
    "groups": _PREFIXED,
    "uid": {"claim": None, "expression": None},
    "extra": [{"key": None, "valueExpression": None}],
}
SHAPE = {
    "jwt": [
        {
            "issuer": _ISSUER,
            "claimValidationRules": [
                {"claim": None, "requiredValue": None, "expression": None, "message": None}
            ],
            "claimMappings": _MAPPINGS,
            "userValidationRules": [{"expression": None, "message": None}],
        }
    ],
    "anonymous": {"enabled": None, "conditions": [{"path": None}]},
}


@dataclass(frozen=True)
class Trust:
    """One issuer whose tokens are believed, and what users they make."""

    url: str
    audiences: tuple[str, ...]
    mappings: ClaimMappings
    discovery_url: str = ""
    authority: str = ""
    """Certificates of the issuer's authority as PEM; those of the machine if empty."""
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True)
class Anonymous:
    """May somebody be nobody, and on which paths? None means on all."""

    enabled: bool = True
    paths: frozenset[str] | None = None


def load(path: str, own_issuers: Sequence[str] = ()) -> tuple[list[Trust], Anonymous | None]:
    """What a file says. Raises ConfigurationError."""
    return read(configuration.load(path, KIND, VERSIONS, SHAPE), own_issuers)


def read(document: Object, own_issuers: Sequence[str] = ()) -> tuple[list[Trust], Anonymous | None]:
    """Issuers, and what is said of anonymous requests. Raises ConfigurationError."""
    given = document.get("jwt") or []
    path = FieldPath("jwt")
    if len(given) > MAX_ISSUERS:
        configuration.refuse([too_many(path, len(given), MAX_ISSUERS)])
    problems: list[FieldError] = []
    trusts = []
    urls: list[tuple[str, FieldPath]] = []
    discoveries: list[tuple[str, FieldPath]] = []
    for index, jwt in enumerate(given):
        reading = _Reading(path % index, own_issuers)
        trusts.append(reading.trust(jwt))
        problems += reading.problems
        issuer = jwt.get("issuer") or {}
        urls.append((issuer.get("url") or "", path % index / "issuer" / "url"))
        if issuer.get("discoveryURL"):
            discoveries.append((issuer["discoveryURL"], path % index / "issuer" / "discoveryURL"))
    problems += [*_repeated(urls), *_repeated(discoveries)]
    anonymous = document.get("anonymous")
    problems += _anonymous_problems(anonymous)
    configuration.refuse(problems)
    return trusts, _anonymous(anonymous)


def of_flags(options: Options) -> Trust | None:
    """The issuer of the `--oidc-*` flags, if there are any. Raises ConfigurationError."""
    if not options.oidc_issuer_url and not options.oidc_client_id:
        return None
    if not options.oidc_issuer_url or not options.oidc_client_id:
        text = "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"
        raise ConfigurationError(text)
    for algorithm in options.oidc_signing_algs:
        if algorithm not in ALGORITHMS:
            raise ConfigurationError(f'oidc: unsupported signing alg: "{algorithm}"')
    prefix = options.oidc_username_prefix
    if prefix == "-":
        prefix = ""
    elif not prefix and options.oidc_username_claim != claims.EMAIL:
        # Names of strangers must not be taken for those of this cluster.
        prefix = options.oidc_issuer_url + "#"
    reading = _Reading(FieldPath("issuer"), options.service_account_issuer)
    reading.url(options.oidc_issuer_url, FieldPath("issuer") / "url")
    configuration.refuse(reading.problems)
    return Trust(
        options.oidc_issuer_url,
        (options.oidc_client_id,),
        ClaimMappings(
            Source(options.oidc_username_claim, prefix),
            Source(options.oidc_groups_claim, options.oidc_groups_prefix),
            required=tuple(options.oidc_required_claim.items()),
        ),
        authority=Path(options.oidc_ca_file).read_text() if options.oidc_ca_file else "",
        algorithms=options.oidc_signing_algs,
    )


def _repeated(values: Iterable[tuple[str, FieldPath]]) -> Iterator[FieldError]:
    seen = set()
    for value, path in values:
        if value in seen:
            yield duplicate(path, value)
        seen.add(value)


def _anonymous_problems(anonymous: Object | None) -> list[FieldError]:
    if anonymous is None or anonymous.get("enabled") or not anonymous.get("conditions"):
        return []
    text = "enabled should be set to true when conditions are defined"
    return [invalid(FieldPath("anonymous") / "conditions", anonymous["conditions"], text)]


def _anonymous(anonymous: Object | None) -> Anonymous | None:
    if anonymous is None:
        return None
    paths = [condition.get("path") or "" for condition in anonymous.get("conditions") or ()]
    return Anonymous(bool(anonymous.get("enabled")), frozenset(paths) if paths else None)


class _Reading:
    """Reads one issuer and collects what is wrong with it."""

    def __init__(self, path: FieldPath, own_issuers: Sequence[str]) -> None:
        self._path = path
        self._own = own_issuers
        self.problems: list[FieldError] = []

    def trust(self, jwt: Object) -> Trust:
        """The issuer; to be used only if there are no problems."""
        issuer = jwt.get("issuer") or {}
        self._issuer(issuer, self._path / "issuer")
        rules, requirements = self._claim_rules(jwt.get("claimValidationRules") or ())
        return Trust(
            issuer.get("url") or "",
            tuple(issuer.get("audiences") or ()),
            self._mappings(jwt, rules, requirements),
            issuer.get("discoveryURL") or "",
            issuer.get("certificateAuthority") or "",
        )

    def url(self, url: str, path: FieldPath, own: bool = True) -> None:
        """An issuer is reached by HTTPS and nothing but a host and a path."""
        if own and url in self._own:
            text = f"URL must not overlap with disallowed issuers: [{' '.join(sorted(self._own))}]"
            self.problems.append(invalid(path, url, text))
        parts = urlsplit(url)
        for wrong, text in (
            (parts.scheme != "https", "URL scheme must be https"),
            ("@" in parts.netloc, "URL must not contain a username or password"),
            (bool(parts.query), "URL must not contain a query"),
            (bool(parts.fragment), "URL must not contain a fragment"),
        ):
            if wrong:
                self.problems.append(invalid(path, url, text))

    def _issuer(self, issuer: Object, path: FieldPath) -> None:
        url, discovery = issuer.get("url") or "", issuer.get("discoveryURL") or ""
        if not url:
            self.problems.append(required(path / "url"))
        else:
            self.url(url, path / "url")
        if discovery:
            if url.rstrip("/") == discovery.rstrip("/"):
                text = "discoveryURL must be different from URL"
                self.problems.append(invalid(path / "discoveryURL", discovery, text))
            self.url(discovery, path / "discoveryURL", own=False)
        self._audiences(issuer, path)
        if issuer.get("certificateAuthority"):
            try:
                ssl.create_default_context(cadata=issuer["certificateAuthority"])
            except (ssl.SSLError, ValueError):
                text = "data does not contain any valid RSA or ECDSA certificates"
                self.problems.append(invalid(path / "certificateAuthority", "<omitted>", text))
        if issuer.get("egressSelectorType") not in (None, "", "controlplane", "cluster"):
            text = "egress selector must be either controlplane or cluster"
            self.problems.append(invalid(path / "egressSelectorType", issuer["egressSelectorType"], text))

    def _audiences(self, issuer: Object, path: FieldPath) -> None:
        audiences, policy = issuer.get("audiences") or [], issuer.get("audienceMatchPolicy") or ""
        at = path / "audiences"
        if not audiences:
            self.problems.append(required(at, f"at least one {at} is required"))
            return
        for index, audience in enumerate(audiences):
            if not audience:
                self.problems.append(required(at % index))
            if audience in audiences[:index]:
                self.problems.append(duplicate(at % index, audience))
        if len(audiences) > 1 and policy != MATCH_ANY:
            text = "audienceMatchPolicy must be MatchAny for multiple audiences"
            self.problems.append(invalid(path / "audienceMatchPolicy", policy, text))
        elif policy not in ("", MATCH_ANY):
            text = "audienceMatchPolicy must be empty or MatchAny for single audience"
            self.problems.append(invalid(path / "audienceMatchPolicy", policy, text))

    def _claim_rules(self, rules: Sequence[Object]) -> tuple[list[Rule], dict[str, str]]:
        path = self._path / "claimValidationRules"
        found: list[Rule] = []
        requirements: dict[str, str] = {}
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            at, claim, expression = path % index, rule.get("claim") or "", rule.get("expression") or ""
            if claim and expression:
                self.problems.append(invalid(at, claim, "claim and expression can't both be set"))
            elif claim:
                if rule.get("message"):
                    text = "may not be specified when claim is set"
                    self.problems.append(invalid(at / "message", rule["message"], text))
                if claim in requirements:
                    self.problems.append(duplicate(at / "claim", claim))
                requirements[claim] = rule.get("requiredValue") or ""
            elif not expression:
                self.problems.append(required(at, "claim or expression is required"))
            else:
                if rule.get("requiredValue"):
                    text = "may not be specified when expression is set"
                    self.problems.append(invalid(at / "requiredValue", rule["requiredValue"], text))
                if expression in seen:
                    self.problems.append(duplicate(at / "expression", expression))
                    continue
                seen.add(expression)
                program = self._compiled(expression, at / "expression", types.BOOL)
                if program is not None:
                    found.append(Rule(program, rule.get("message") or ""))
        return found, requirements

    def _mappings(self, jwt: Object, rules: list[Rule], requirements: dict[str, str]) -> ClaimMappings:
        given = jwt.get("claimMappings") or {}
        path = self._path / "claimMappings"
        uid = given.get("uid") or {}
        if uid.get("claim") and uid.get("expression"):
            self.problems.append(invalid(path / "uid", "", "claim and expression can't both be set"))
        mappings = ClaimMappings(
            self._prefixed(given.get("username") or {}, path / "username", needed=True),
            self._prefixed(given.get("groups") or {}, path / "groups", needed=False),
            Source(
                uid.get("claim") or "",
                program=self._compiled(uid.get("expression"), path / "uid" / "expression"),
            ),
            tuple(self._extra(given.get("extra") or (), path / "extra")),
            tuple(requirements.items()),
            tuple(rules),
            tuple(self._user_rules(jwt.get("userValidationRules") or ())),
        )
        self._email(mappings, path / "username" / "expression")
        return mappings

    def _prefixed(self, given: Object, path: FieldPath, *, needed: bool) -> Source:
        claim, expression = given.get("claim") or "", given.get("expression") or ""
        if claim and expression:
            self.problems.append(invalid(path, "", "claim and expression can't both be set"))
        elif not claim and not expression and needed:
            self.problems.append(required(path, "claim or expression is required"))
        elif expression and given.get("prefix") is not None:
            text = "may not be specified when expression is set"
            self.problems.append(invalid(path / "prefix", given["prefix"], text))
        elif claim and given.get("prefix") is None:
            text = (
                "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
            )
            self.problems.append(required(path / "prefix", text))
        return Source(claim, given.get("prefix") or "", self._compiled(expression, path / "expression"))

    def _extra(self, given: Sequence[Object], path: FieldPath) -> Iterator[tuple[str, Program]]:
        seen: set[str] = set()
        for index, mapping in enumerate(given):
            at, key = path % index / "key", mapping.get("key") or ""
            self.problems += _key_problems(key, at)
            if key in seen:
                self.problems.append(duplicate(at, key))
                continue
            seen.add(key)
            where = path % index / "valueExpression"
            if not mapping.get("valueExpression"):
                self.problems.append(required(where))
                continue
            program = self._compiled(mapping["valueExpression"], where)
            if program is not None:
                yield key, program

    def _user_rules(self, rules: Sequence[Object]) -> Iterator[Rule]:
        path = self._path / "userValidationRules"
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            at, expression = path % index / "expression", rule.get("expression") or ""
            if not expression:
                self.problems.append(required(at))
            elif expression in seen:
                self.problems.append(duplicate(at, expression))
            else:
                seen.add(expression)
                try:
                    yield Rule(claims.compile_user(expression), rule.get("message") or "")
                except CompileError as error:
                    self.problems.append(invalid(at, expression, f"compilation failed: {error}"))

    def _email(self, mappings: ClaimMappings, path: FieldPath) -> None:
        """Who is named by an email address must have shown that it is theirs."""
        name = mappings.username.program
        if name is None or not _speaks_of(name, claims.EMAIL):
            return
        programs = [
            name,
            *(program for _, program in mappings.extra),
            *(rule.program for rule in mappings.claim_rules),
        ]
        if not any(_speaks_of(program, claims.EMAIL_VERIFIED) for program in programs):
            text = (
                "claims.email_verified must be used in claimMappings.username.expression or "
                "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is "
                "used in claimMappings.username.expression"
            )
            self.problems.append(invalid(path, name.source, text))

    def _compiled(
        self, expression: str | None, path: FieldPath, result: types.Type | None = None
    ) -> Program | None:
        if not expression:
            return None
        try:
            return claims.compile_claims(expression, result)
        except CompileError as error:
            self.problems.append(invalid(path, expression, f"compilation failed: {error}"))
            return None


_RESERVED = re.compile(r"(?:.*\.)?(?:kubernetes|k8s)\.io")


def _key_problems(key: str, path: FieldPath) -> list[FieldError]:
    """Keys of extra information are paths in somebody's domain, in lower case, and not in that of Kubernetes."""
    if not key:
        return [required(path)]
    domain, slash, rest = key.partition("/")
    if not slash or not domain or not rest:
        return [invalid(path, key, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = [invalid(path, domain, problem) for problem in names.dns_subdomain_errors(domain)]
    if key != key.lower():
        found.append(invalid(path, key, "must be lowercase"))
    if _RESERVED.fullmatch(domain):
        text = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
        found.append(invalid(path, key, text))
    return found


def _speaks_of(program: Program, claim: str) -> bool:
    """Does an expression read a claim by its name?"""
    return any(_reads(node, claim) for node in nodes.walk(parser.parse(program.source)))


def _reads(node: Any, claim: str) -> bool:
    return (
        isinstance(node, nodes.Select)
        and node.field == claim
        and isinstance(node.operand, nodes.Ident)
        and node.operand.name == "claims"
    )
