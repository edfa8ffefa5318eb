"""What of the node is not for pods: what is reserved for others, and what eviction keeps free.

    capacity - system reserved - kube reserved                        all pods together may use it
    capacity - system reserved - kube reserved - hard thresholds      pods may ask for it: allocatable

Source: https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from kubarium.api.core.pod import resources
from kubarium.api.core.pod.resources import Amounts
from kubarium.apimachinery import quantity
from kubelet.options import Options

RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
BY_THRESHOLD = {"memory.available": "memory", "nodefs.available": "ephemeral-storage"}


class Unreservable(ValueError):
    """This cannot be reserved."""


def reserved(options: Options) -> dict[str, str]:
    """Both reservations together. CPUs that are reserved by their numbers count instead of all others."""
    found: dict[str, str] = {}
    for given in (options.system_reserved, options.kube_reserved):
        for resource, amount in given.items():
            found[resource] = quantity.add(found.get(resource, "0"), amount)
    numbers = cpu_numbers(options.reserved_cpus)
    return {**found, "cpu": str(len(numbers))} if numbers else found


def taken(reserved: Mapping[str, str], eviction_hard: Mapping[str, str], capacity: Amounts) -> Amounts:
    """What pods may not ask for."""
    found = resources.amounts(dict(reserved))
    for signal, resource in BY_THRESHOLD.items():
        if signal in eviction_hard:
            kept = portion(eviction_hard[signal], capacity.get(resource, 0))
            found[resource] = found.get(resource, 0) + kept
    return found


def portion(text: str, whole: int) -> int:
    """`10%` of the whole, or an amount as it stands. Upstream keeps percentages in single precision."""
    if text.endswith("%"):
        (share,) = struct.unpack("f", struct.pack("f", float(text[:-1]) / 100))
        return int(whole * share)
    return quantity.value(text)


def check(options: Options, cpus: int, capacity: Amounts) -> None:
    """Can so much be reserved? Raises Unreservable."""
    for flag, given in (("kube", options.kube_reserved), ("system", options.system_reserved)):
        for resource, amount in given.items():
            if problem := _wrong(resource, amount):
                raise Unreservable(f"--{flag}-reserved value failed to parse: {problem}")
    if max(cpu_numbers(options.reserved_cpus), default=0) >= cpus:
        raise Unreservable(f'invalid cpuset "{options.reserved_cpus}" specified by --reserved-cpus')
    complaints = [
        f'Resource "{resource}" has a reservation of {_text(resource, amount)} but capacity of '
        f"{_text(resource, capacity[resource])}. Expected capacity >= reservation."
        for resource, amount in taken(reserved(options), options.eviction_thresholds, capacity).items()
        if amount > capacity[resource]
    ]
    if complaints:
        raise Unreservable("invalid Node Allocatable configuration. " + " ".join(complaints))


def _wrong(resource: str, amount: str) -> str:
    if resource not in RESERVABLE:
        return f'cannot reserve "{resource}" resource'
    try:
        negative = quantity.parse(amount).nano < 0
    except quantity.QuantityError as error:
        return f'failed to parse quantity "{amount}" for "{resource}" resource: {error}'
    return f'resource quantity for "{resource}" cannot be negative: {amount}' if negative else ""


def _text(resource: str, amount: int) -> str:
    if resource == "cpu":
        return quantity.of_milli(amount)
    return quantity.of_value(amount, "DecimalSI" if resource == "pid" else "BinarySI")


def cpu_numbers(text: str) -> frozenset[int]:
    """`0-2,5` -> 0, 1, 2, 5. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        numbers = range(_number(first), _number(last if dash else first) + 1)
        if not numbers:
            raise ValueError(f'invalid range "{part}" ({first} > {last})')
        found.update(numbers)
    return frozenset(found)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
