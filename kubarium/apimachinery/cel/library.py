"""The functions that Kubernetes adds to CEL: text, lists, sets, regular expressions, optionals, URLs, addresses,
quantities, semantic versions, formats, the authorizer.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from kubarium.apimachinery import names
from kubarium.apimachinery import quantity as quantities
from kubarium.apimachinery.cel import standard
from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class
from kubarium.apimachinery.cel.standard import by_items, by_length, compiled_pattern, equals
from kubarium.apimachinery.quantity import Quantity
from kubarium.apimachinery.schema.formats import FORMATS

# Optionals.


class Optional(NamedTuple):
    """A value that may be absent."""

    present: bool
    value: Any = None


NONE = Optional(False)
register_class("optional", Optional)


@function("optional::of | A -> optional(A)")
def _optional_of(value: Any) -> Optional:
    return Optional(True, value)


@function("optional::none | -> optional(A)")
def _optional_none() -> Optional:
    return NONE


@function("optional::ofNonZeroValue | A -> optional(A)")
def _optional_of_non_zero(value: Any) -> Optional:
    zero = (
        value is None
        or value is False
        or (not isinstance(value, bool) and value in (0, "", b"", timedelta()))
    )
    return NONE if zero or (isinstance(value, list | Mapping) and not value) else Optional(True, value)


@function("optional(A).hasValue | -> bool")
def _has_value(value: Optional) -> bool:
    return value.present


@function("optional(A).value | -> A")
def _value(value: Optional) -> Any:
    if not value.present:
        raise EvaluationError("optional.none() dereference")
    return value.value


@function("optional(A).orValue | A -> A")
def _or_value(value: Optional, other: Any) -> Any:
    return value.value if value.present else other


@function("optional(A).or | optional(A) -> optional(A)")
def _or(value: Optional, other: Optional) -> Optional:
    return value if value.present else other


# Text. Source: the string extensions of cel-go.


@function("string.charAt | int -> string")
def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


@function("string.indexOf | string -> int", "string.indexOf | string, int -> int", cost=by_length)
def _index_of_text(text: str, part: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text.find(part, start)


@function("string.lastIndexOf | string -> int", "string.lastIndexOf | string, int -> int", cost=by_length)
def _last_index_of_text(text: str, part: str, last: int | None = None) -> int:
    if last is not None and not 0 <= last <= len(text):
        raise EvaluationError(f"index out of range: {last}")
    return text.rfind(part) if last is None else text.rfind(part, 0, last + len(part))


@function("string.lowerAscii | -> string", cost=by_length)
def _lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda match: match[0].lower(), text)


@function("string.upperAscii | -> string", cost=by_length)
def _upper(text: str) -> str:
    return re.sub("[a-z]+", lambda match: match[0].upper(), text)


@function("string.trim | -> string", cost=by_length)
def _trim(text: str) -> str:
    return text.strip()


@function("string.reverse | -> string", cost=by_length)
def _reverse_text(text: str) -> str:
    return text[::-1]


@function(
    "string.replace | string, string -> string",
    "string.replace | string, string, int -> string",
    cost=by_length,
)
def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


@function(
    "string.split | string -> list(string)", "string.split | string, int -> list(string)", cost=by_length
)
def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        parts = list(text)
        return (
            parts if limit < 0 or len(parts) <= limit else [*parts[: limit - 1], "".join(parts[limit - 1 :])]
        )
    return text.split(separator, limit - 1 if limit > 0 else -1)


@function("string.substring | int -> string", "string.substring | int, int -> string", cost=by_length)
def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text) or not 0 <= stop <= len(text):
        raise EvaluationError(f"index out of range: {start if not 0 <= start <= len(text) else stop}")
    if start > stop:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


@function("list(string).join | -> string", "list(string).join | string -> string", cost=by_items)
def _join(items: Sequence[str], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise standard.no_overload()
    return separator.join(items)


_QUOTED = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


@function("strings::quote | string -> string", cost=by_length)
def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(character, character) for character in text) + '"'


_VERB = re.compile(r"%(?:%|(?:\.(\d+))?([a-zA-Z]))")


@function("string.format | list(dyn) -> string", cost=by_length)
def _format(text: str, args: Sequence[Any]) -> str:
    rest = list(args)

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not rest:
            raise EvaluationError(f"index {len(args)} out of range")
        return _formatted(rest.pop(0), match[2], match[1])

    return _VERB.sub(replace, text)


def _formatted(value: Any, verb: str, precision: str | None) -> str:
    digits = int(precision) if precision is not None else 6
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb == "s":
        return _shown(value)
    if verb == "d" and isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if verb == "f" and number:
        return f"{value:.{digits}f}"
    if verb == "e" and number:
        return f"{value:.{digits}e}"
    if verb == "b" and isinstance(value, int):
        return f"{int(value):b}"
    if verb == "o" and isinstance(value, int):
        return f"{int(value):o}"
    if verb in ("x", "X"):
        data = value.encode() if isinstance(value, str) else value
        shown = f"{data:x}" if isinstance(data, int) else bytes(data).hex()
        return shown.upper() if verb == "X" else shown
    raise EvaluationError(f'error during formatting: unrecognized formatting clause "{verb}"')


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = sorted((_shown(key), _shown(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    return "null" if value is None else standard.to_string(value)


# Regular expressions.


@function(
    "string.find | string -> string",
    cost=lambda text, pattern: (len(text) // 10 + 1) * (len(pattern) // 4 + 1),
)
def _find(text: str, pattern: str) -> str:
    match = compiled_pattern(pattern).search(text)
    return match.group() if match is not None else ""


@function(
    "string.findAll | string -> list(string)", "string.findAll | string, int -> list(string)", cost=by_length
)
def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in compiled_pattern(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


# Lists. Source: Kubernetes' list library and the list extensions of cel-go.


def _compare_errors(run: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any) -> Any:
        try:
            return run(*args)
        except TypeError:
            raise standard.no_overload() from None

    return guarded


@function("list(A).isSorted | -> bool", cost=by_items)
@_compare_errors
def _is_sorted(items: Sequence[Any]) -> bool:
    return all(items[index] <= items[index + 1] for index in range(len(items) - 1))


@function("list(A).sum | -> A", cost=by_items)
@_compare_errors
def _sum(items: Sequence[Any]) -> Any:
    if not items:
        return 0
    result = items[0]
    for item in items[1:]:
        result = result + item
    return standard.int64(result) if type(result) is int else result


@function("list(A).min | -> A", cost=by_items)
@_compare_errors
def _min(items: Sequence[Any]) -> Any:
    if not items:
        raise EvaluationError("min called on empty list")
    return min(items)


@function("list(A).max | -> A", cost=by_items)
@_compare_errors
def _max(items: Sequence[Any]) -> Any:
    if not items:
        raise EvaluationError("max called on empty list")
    return max(items)


@function("list(A).indexOf | A -> int", cost=by_items)
def _index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if equals(item, wanted)), -1)


@function("list(A).lastIndexOf | A -> int", cost=by_items)
def _last_index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equals(items[index], wanted)), -1)


@function("list(A).sort | -> list(A)", cost=by_items)
@_compare_errors
def _sort(items: Sequence[Any]) -> list[Any]:
    return sorted(items)


@function("list(A).reverse | -> list(A)", cost=by_items)
def _reverse(items: Sequence[Any]) -> list[Any]:
    return list(reversed(items))


@function("list(A).distinct | -> list(A)", cost=lambda items: len(items) ** 2)
def _distinct(items: Sequence[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if not any(equals(item, other) for other in kept):
            kept.append(item)
    return kept


@function("list(A).slice | int, int -> list(A)", cost=by_items)
def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0 or start > end or end > len(items):
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


@function("list(dyn).flatten | -> list(dyn)", "list(dyn).flatten | int -> list(dyn)", cost=by_items)
def _flatten(items: Sequence[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    flat: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth > 0:
            flat += _flatten(item, depth - 1)
        else:
            flat.append(item)
    return flat


@function("lists::range | int -> list(int)", cost=lambda count: max(count, 0))
def _range(count: int) -> list[int]:
    return list(range(count))


# Sets.


def _product(left: Sequence[Any], right: Sequence[Any]) -> int:
    return len(left) * len(right)


@function("sets::contains | list(A), list(A) -> bool", cost=_product)
def _set_contains(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return all(any(equals(item, other) for other in left) for item in right)


@function("sets::equivalent | list(A), list(A) -> bool", cost=_product)
def _set_equivalent(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return _set_contains(left, right) and _set_contains(right, left)


@function("sets::intersects | list(A), list(A) -> bool", cost=_product)
def _set_intersects(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return any(any(equals(item, other) for other in left) for item in right)


# Base64 and JSON patches.


def from_base64(value: Any) -> Any:
    """The bytes behind a text of a field whose format is `byte`."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise EvaluationError("illegal base64 data") from None


@function("base64::encode | bytes -> string", cost=by_length)
def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


@function("base64::decode | string -> bytes", cost=by_length)
def _decode(text: str) -> bytes:
    return bytes(from_base64(text + "=" * (-len(text) % 4)))


@function("jsonpatch::escapeKey | string -> string", cost=by_length)
def _escape_key(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


# URLs.

register_class("url", SplitResult)


def _parse_url(text: str) -> SplitResult | None:
    if not FORMATS["uri"](text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


@function("isURL | string -> bool", cost=by_length)
def _is_url(text: str) -> bool:
    return _parse_url(text) is not None


@function("url | string -> url", cost=by_length)
def _url(text: str) -> SplitResult:
    parts = _parse_url(text)
    if parts is None:
        raise EvaluationError(
            f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
        )
    return parts


@function("url.getScheme | -> string")
def _scheme(url: SplitResult) -> str:
    return url.scheme


@function("url.getHost | -> string")
def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


@function("url.getHostname | -> string")
def _hostname(url: SplitResult) -> str:
    host = _host(url)
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


@function("url.getPort | -> string")
def _port(url: SplitResult) -> str:
    return str(url.port) if url.port is not None else ""


@function("url.getEscapedPath | -> string")
def _path(url: SplitResult) -> str:
    return quote(url.path, safe="/%:@!$&'()*+,;=~-._")


@function("url.getQuery | -> map(string, list(string))")
def _query(url: SplitResult) -> dict[str, list[str]]:
    return parse_qs(url.query, keep_blank_values=True)


# Addresses.

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class IP(NamedTuple):
    """An address."""

    address: _Address


class CIDR(NamedTuple):
    """A network, with the address that was written before the slash."""

    interface: _Interface


register_class("ip", IP)
register_class("cidr", CIDR)


def _parse_ip(text: str) -> IP | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return None if "%" in text or mapped is not None else IP(address)


def _parse_cidr(text: str) -> CIDR | None:
    try:
        return CIDR(ipaddress.ip_interface(text)) if re.search(r"/\d+$", text) else None
    except ValueError:
        return None


@function("isIP | string -> bool", cost=by_length)
def _is_ip(text: str) -> bool:
    return _parse_ip(text) is not None


@function("ip | string -> ip", cost=by_length)
def _ip(text: str) -> IP:
    found = _parse_ip(text)
    if found is None:
        raise EvaluationError(f'IP Address "{text}" parse error during conversion from string')
    return found


@function("ip::isCanonical | string -> bool", cost=by_length)
def _is_canonical(text: str) -> bool:
    return str(_ip(text).address) == text


@function("ip.family | -> int")
def _family(ip: IP) -> int:
    return ip.address.version


@function("ip.isUnspecified | -> bool")
def _is_unspecified(ip: IP) -> bool:
    return ip.address.is_unspecified


@function("ip.isLoopback | -> bool")
def _is_loopback(ip: IP) -> bool:
    return ip.address.is_loopback


@function("ip.isLinkLocalUnicast | -> bool")
def _is_link_local(ip: IP) -> bool:
    return ip.address.is_link_local


@function("ip.isLinkLocalMulticast | -> bool")
def _is_link_local_multicast(ip: IP) -> bool:
    networks = ("224.0.0.0/24",) if ip.address.version == 4 else ("ff02::/16",)
    return any(ip.address in ipaddress.ip_network(network) for network in networks)


@function("ip.isGlobalUnicast | -> bool")
def _is_global_unicast(ip: IP) -> bool:
    address = ip.address
    others = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not others and str(address) != "255.255.255.255"


@function("string | ip -> string")
def _ip_text(ip: IP) -> str:
    return str(ip.address)


@function("isCIDR | string -> bool", cost=by_length)
def _is_cidr(text: str) -> bool:
    return _parse_cidr(text) is not None


@function("cidr | string -> cidr", cost=by_length)
def _cidr(text: str) -> CIDR:
    found = _parse_cidr(text)
    if found is None:
        raise EvaluationError(
            f'network address parse error during conversion from string: invalid CIDR "{text}"'
        )
    return found


@function("cidr.containsIP | string -> bool", "cidr.containsIP | ip -> bool")
def _contains_ip(cidr: CIDR, ip: Any) -> bool:
    return (_ip(ip) if isinstance(ip, str) else ip).address in cidr.interface.network


@function("cidr.containsCIDR | string -> bool", "cidr.containsCIDR | cidr -> bool")
def _contains_cidr(cidr: CIDR, other: Any) -> bool:
    inner = (_cidr(other) if isinstance(other, str) else other).interface.network
    outer = cidr.interface.network
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


@function("cidr.ip | -> ip")
def _cidr_ip(cidr: CIDR) -> IP:
    return IP(cidr.interface.ip)


@function("cidr.masked | -> cidr")
def _masked(cidr: CIDR) -> CIDR:
    return CIDR(ipaddress.ip_interface(str(cidr.interface.network)))


@function("cidr.prefixLength | -> int")
def _prefix_length(cidr: CIDR) -> int:
    return cidr.interface.network.prefixlen


@function("string | cidr -> string")
def _cidr_text(cidr: CIDR) -> str:
    return str(cidr.interface)


# Quantities.

register_class("quantity", Quantity)


@function("isQuantity | string -> bool", cost=by_length)
def _is_quantity(text: str) -> bool:
    return quantities.is_quantity(text)


@function("quantity | string -> quantity", cost=by_length)
def _quantity(text: str) -> Quantity:
    try:
        return quantities.parse(text)
    except quantities.QuantityError as error:
        raise EvaluationError(str(error)) from None


@function("quantity.sign | -> int")
def _sign(amount: Quantity) -> int:
    return (amount.nano > 0) - (amount.nano < 0)


@function("quantity.isInteger | -> bool")
def _is_integer(amount: Quantity) -> bool:
    return amount.nano % quantities.NANO == 0 and abs(amount.nano) // quantities.NANO < 2**63


@function("quantity.asInteger | -> int")
def _as_integer(amount: Quantity) -> int:
    if not _is_integer(amount):
        raise EvaluationError("cannot convert value to integer")
    return amount.nano // quantities.NANO


@function("quantity.asApproximateFloat | -> double")
def _as_float(amount: Quantity) -> float:
    return amount.as_float()


@function("quantity.add | quantity -> quantity", "quantity.add | int -> quantity")
def _add(amount: Quantity, other: Any) -> Quantity:
    nano = other.nano if isinstance(other, Quantity) else other * quantities.NANO
    return amount._replace(nano=amount.nano + nano)


@function("quantity.sub | quantity -> quantity", "quantity.sub | int -> quantity")
def _sub(amount: Quantity, other: Any) -> Quantity:
    nano = other.nano if isinstance(other, Quantity) else other * quantities.NANO
    return amount._replace(nano=amount.nano - nano)


@function("quantity.isLessThan | quantity -> bool")
def _is_less(amount: Quantity, other: Quantity) -> bool:
    return amount.nano < other.nano


@function("quantity.isGreaterThan | quantity -> bool")
def _is_greater(amount: Quantity, other: Quantity) -> bool:
    return amount.nano > other.nano


@function("quantity.compareTo | quantity -> int")
def _compare_to(amount: Quantity, other: Quantity) -> int:
    return (amount.nano > other.nano) - (amount.nano < other.nano)


# Semantic versions.


class SemVer(NamedTuple):
    """A version by the rules of https://semver.org."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    def order(self) -> tuple[Any, ...]:
        """A key that sorts versions: a pre-release stands before its release, numbers before words."""
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.major, self.minor, self.patch, not self.pre, parts)


register_class("semver", SemVer)
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


def _normalized(text: str) -> str:
    """`v1.2` -> `1.2.0`, leading zeros dropped: what the second argument of semver() asks for."""
    core, mark, rest = re.fullmatch(r"([^-+]*)([-+]?)(.*)", text.removeprefix("v"), re.DOTALL).groups()  # type: ignore[union-attr]
    numbers = [number.lstrip("0") or "0" for number in core.split(".") if number]
    return ".".join([*numbers, *["0"] * (3 - len(numbers))]) + mark + rest


def _parse_semver(text: str, normalize: bool = False) -> SemVer | None:
    match = _SEMVER.fullmatch(_normalized(text) if normalize else text)
    if match is None:
        return None
    return SemVer(int(match[1]), int(match[2]), int(match[3]), tuple(match[4].split(".")) if match[4] else ())


@function("isSemver | string -> bool", "isSemver | string, bool -> bool", cost=by_length)
def _is_semver(text: str, normalize: bool = False) -> bool:
    return _parse_semver(text, normalize) is not None


@function("semver | string -> semver", "semver | string, bool -> semver", cost=by_length)
def _semver(text: str, normalize: bool = False) -> SemVer:
    version = _parse_semver(text, normalize)
    if version is None:
        raise EvaluationError(f'Invalid semantic version "{text}"')
    return version


@function("semver.major | -> int")
def _major(version: SemVer) -> int:
    return version.major


@function("semver.minor | -> int")
def _minor(version: SemVer) -> int:
    return version.minor


@function("semver.patch | -> int")
def _patch(version: SemVer) -> int:
    return version.patch


@function("semver.isLessThan | semver -> bool")
def _is_older(version: SemVer, other: SemVer) -> bool:
    return version.order() < other.order()


@function("semver.isGreaterThan | semver -> bool")
def _is_newer(version: SemVer, other: SemVer) -> bool:
    return version.order() > other.order()


@function("semver.compareTo | semver -> int")
def _compare_versions(version: SemVer, other: SemVer) -> int:
    return (version.order() > other.order()) - (version.order() < other.order())


# Formats.


class Format(NamedTuple):
    """A named rule for text: a list of what is wrong."""

    name: str
    errors: Callable[[str], Sequence[str]]


register_class("format", Format)


def _by_format(name: str, message: str) -> Callable[[str], Sequence[str]]:
    return lambda text: [] if FORMATS[name](text) else [message]


def _prefix(rule: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    return lambda text: rule(text[:-1] + "a" if text.endswith("-") else text)


_FORMATS = {
    "dns1123Label": names.dns_label_errors,
    "dns1123Subdomain": names.dns_subdomain_errors,
    "dns1035Label": names.dns_1035_errors,
    "qualifiedName": names.qualified_name_errors,
    "labelValue": names.label_value_errors,
    "dns1123LabelPrefix": _prefix(names.dns_label_errors),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain_errors),
    "dns1035LabelPrefix": _prefix(names.dns_1035_errors),
    "uri": _by_format("uri", "invalid URI"),
    "uuid": _by_format("uuid", "does not match the UUID format"),
    "byte": _by_format("byte", "invalid base64"),
    "date": _by_format("date", "invalid date"),
    "datetime": _by_format("datetime", "invalid datetime"),
}


def _register_formats() -> None:
    for name, errors in _FORMATS.items():
        made = Format(name, errors)
        function(f"format::{name} | -> format")(lambda made=made: made)


_register_formats()


@function("format::named | string -> optional(format)")
def _named_format(name: str) -> Optional:
    errors = _FORMATS.get(name)
    return Optional(True, Format(name, errors)) if errors is not None else NONE


@function("format.validate | string -> optional(list(string))", cost=by_length)
def _validate(rule: Format, text: str) -> Optional:
    errors = list(rule.errors(text))
    return Optional(True, errors) if errors else NONE


# Mathematics that sums of lists do not cover.


@function("math::greatest | list(A) -> A", cost=by_items)
def _greatest(items: Sequence[Any]) -> Any:
    return _max(items)


@function("math::least | list(A) -> A", cost=by_items)
def _least(items: Sequence[Any]) -> Any:
    return _min(items)


@function("math::abs | int -> int", "math::abs | double -> double")
def _abs(value: Any) -> Any:
    return standard.int64(abs(value)) if type(value) is int else abs(value)


@function("math::ceil | double -> double")
def _ceil(value: float) -> float:
    return float(-(-Fraction(value) // 1))


@function("math::floor | double -> double")
def _floor(value: float) -> float:
    return float(Fraction(value) // 1)


# The authorizer of admission policies.


class Decision(NamedTuple):
    """What an authorizer says."""

    allowed: bool
    reason: str = ""
    error: str = ""


Ask = Callable[[Mapping[str, str]], Decision]
"""Answers a question given as attributes: user's verb, group, resource, subresource, namespace, name or path, and
`serviceAccount` as `namespace/name` when it is asked for somebody else."""


class Authorizer(NamedTuple):
    """The variable `authorizer`: a question that is being put together."""

    ask: Ask
    attributes: tuple[tuple[str, str], ...] = ()


register_class("authorizer", Authorizer)
register_class("decision", Decision)


def _with(authorizer: Authorizer, *more: tuple[str, str]) -> Authorizer:
    return authorizer._replace(attributes=(*authorizer.attributes, *more))


def _register_steps() -> None:
    for name in (
        "path",
        "group",
        "resource",
        "subresource",
        "namespace",
        "name",
        "fieldSelector",
        "labelSelector",
    ):
        function(f"authorizer.{name} | string -> authorizer")(
            lambda authorizer, text, name=name: _with(authorizer, (name, text))
        )


_register_steps()


@function("authorizer.serviceAccount | string, string -> authorizer")
def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    return _with(authorizer, ("serviceAccount", f"{namespace}/{name}"))


@function("authorizer.check | string -> decision", cost=lambda authorizer, verb: 350_000)
def _check(authorizer: Authorizer, verb: str) -> Decision:
    return authorizer.ask({**dict(authorizer.attributes), "verb": verb})


@function("decision.allowed | -> bool")
def _allowed(decision: Decision) -> bool:
    return decision.allowed


@function("decision.reason | -> string")
def _reason(decision: Decision) -> str:
    return decision.reason


@function("decision.errored | -> bool")
def _errored(decision: Decision) -> bool:
    return bool(decision.error)


@function("decision.error | -> string")
def _error(decision: Decision) -> str:
    return decision.error
