"""What may be a name: RFC 1123 and its relatives, label keys and values, and the suffix of `generateName`.

Each `…_errors` function returns upstream's explanations (`k8s.io/apimachinery/pkg/util/validation`), none if valid.
"""

from __future__ import annotations

import random
import re

MAX_LABEL = 63
MAX_SUBDOMAIN = 253

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WILDCARD = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_URL_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")
_RFC1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_PATH_SEGMENT_FORBIDDEN = ("/", "%")

_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
_WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_RFC1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_QUALIFIED_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character"
)


def _too_long(maximum: int) -> str:
    return f"must be no more than {maximum} bytes"


def _example(rule: str, pattern: re.Pattern[str], *examples: str) -> str:
    shown = " or ".join(f"'{example}'," for example in examples)
    return f"{rule} (e.g. {_spaced(shown, len(examples))} regex used for validation is '{pattern.pattern}')"


def _spaced(shown: str, count: int) -> str:
    """Upstream writes `(e.g. 'a',  or 'b', regex …)`: two blanks before `or`."""
    return shown.replace(", or ", ",  or ") if count > 1 else shown


def dns_label_errors(text: str) -> list[str]:
    """RFC 1123 label: namespaces, containers, port names of services."""
    found = []
    if len(text) > MAX_LABEL:
        found.append(f"must be no more than {MAX_LABEL} characters")
    if _LABEL.fullmatch(text):
        return found
    if _SUBDOMAIN.fullmatch(text):
        found.append("must not contain dots")  # what else can it be
    else:
        found.append(_example(_LABEL_RULE, _LABEL, "my-name", "123-abc"))
    return found


_SEARCHED_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCHED = re.compile(rf"{_SEARCHED_LABEL}(\.{_SEARCHED_LABEL})*")
_SEARCHED_RULE = _SUBDOMAIN_RULE.replace("characters, '-'", "characters, '_', '-'")


def dns_subdomain_errors(text: str, *, underscores: bool = False) -> list[str]:
    """RFC 1123 subdomain: the name of most kinds. Domains that are searched may have `underscores` too."""
    found = []
    if len(text) > MAX_SUBDOMAIN:
        found.append(f"must be no more than {MAX_SUBDOMAIN} characters")
    form, rule = (_SEARCHED, _SEARCHED_RULE) if underscores else (_SUBDOMAIN, _SUBDOMAIN_RULE)
    if not form.fullmatch(text):
        found.append(_example(rule, form, "example.com"))
    return found


def dns_1035_errors(text: str) -> list[str]:
    """RFC 1035 label: service names of old, CRD plurals."""
    found = []
    if len(text) > MAX_LABEL:
        found.append(f"must be no more than {MAX_LABEL} characters")
    if not _RFC1035.fullmatch(text):
        found.append(_example(_RFC1035_RULE, _RFC1035, "my-name", "abc-123"))
    return found


def qualified_name_errors(text: str) -> list[str]:
    """`[prefix/]name`: label and annotation keys, resource names, finalizers."""
    parts = text.split("/")
    found = []
    if len(parts) == 1:
        name = parts[0]
    elif len(parts) == 2:
        prefix, name = parts
        if not prefix:
            found.append("prefix part must be non-empty")
        else:
            problems = dns_subdomain_errors(prefix)
            if len(prefix) > MAX_SUBDOMAIN:
                problems[0] = _too_long(MAX_SUBDOMAIN)
            found += [f"prefix part {problem}" for problem in problems]
    else:
        rule = _example(_QUALIFIED_RULE, _QUALIFIED, "MyName", "my.name", "123-abc")
        return [
            f"a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > MAX_LABEL:
        found.append(f"name part {_too_long(MAX_LABEL)}")
    if not _QUALIFIED.fullmatch(name):
        found.append("name part " + _example(_QUALIFIED_RULE, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return found


def label_value_errors(text: str) -> list[str]:
    """The value of a label."""
    found = []
    if len(text) > MAX_LABEL:
        found.append(_too_long(MAX_LABEL))
    if not _LABEL_VALUE.fullmatch(text):
        found.append(_example(_LABEL_VALUE_RULE, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return found


def wildcard_subdomain_errors(text: str) -> list[str]:
    """`*.` and a subdomain: hosts of Ingresses."""
    found = []
    if len(text) > MAX_SUBDOMAIN:
        found.append(_too_long(MAX_SUBDOMAIN))
    if not _WILDCARD.fullmatch(text):
        found.append(_example(_WILDCARD_RULE, _WILDCARD, "*.example.com"))
    return found


def domain_prefixed_path_errors(text: str) -> list[str]:
    """`example.com/path`: controllers of Ingress classes, managers of Jobs."""
    domain, slash, path = text.partition("/")
    if not (domain and slash and path):
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    found = dns_subdomain_errors(domain)
    if not _URL_PATH.fullmatch(path):
        found.append(f"Invalid path (regex used for validation is '{_URL_PATH.pattern}')")
    return found


def path_segment_errors(text: str) -> list[str]:
    """Names that only have to fit into a URL: RBAC objects."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{part}'" for part in _PATH_SEGMENT_FORBIDDEN if part in text]


def config_key_errors(text: str) -> list[str]:
    """Keys of ConfigMaps and Secrets."""
    found = []
    if len(text) > MAX_SUBDOMAIN:
        found.append(_too_long(MAX_SUBDOMAIN))
    if not _CONFIG_KEY.fullmatch(text):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        found.append(_example(rule, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if text == ".":
        found.append("must not be '.'")
    elif text == "..":
        found.append("must not be '..'")
    elif text.startswith(".."):
        found.append("must not start with '..'")
    return found


def env_name_errors(text: str) -> list[str]:
    """Environment variables: anything that can be printed, but for `=`."""
    if text and text.isascii() and text.isprintable() and "=" not in text:
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
    ]


def header_errors(text: str) -> list[str]:
    """Names of HTTP headers."""
    if _HEADER.fullmatch(text):
        return []
    rule = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [_example(rule, _HEADER, "X-Header-Name")]


def port_name_errors(text: str) -> list[str]:
    """IANA service names: container port names."""
    found = []
    if len(text) > 15:
        found.append("must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        found.append("must not begin or end with a hyphen")
    return found


_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
LONGEST_BASE = 63 - _SUFFIX_LENGTH


def random_suffix() -> str:
    """Random letters and digits without vowels, so that no words come out."""
    return "".join(random.choices(_ALPHABET, k=_SUFFIX_LENGTH))


def generate_name(base: str) -> str:
    """`generateName` -> a name: the base, cut if need be, and five random characters."""
    return base[:LONGEST_BASE] + random_suffix()


def safe_encode(text: str) -> str:
    """Map any characters to the alphabet of generated names; used for template hashes."""
    return "".join(_ALPHABET[ord(character) % len(_ALPHABET)] for character in text)
