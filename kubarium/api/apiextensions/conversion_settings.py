"""How a CustomResourceDefinition says that its versions are converted into each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubarium.apimachinery import webhook_addresses
from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, forbidden, not_supported, required
from kubarium.apimachinery.object import Object, spec_of


@dataclass(frozen=True)
class Tolerance:
    """What may be wrong because it was so before."""

    any_review: bool = False  # versions of reviews that nobody knows
    any_bundle: bool = True  # a bundle without certificates; also before anything is served


NOTHING = Tolerance()


def tolerance_of(definition: Object, is_served: bool) -> Tolerance:
    """What an update of this definition lets pass."""
    webhook = (spec_of(definition).get("conversion") or {}).get("webhook") or {}
    reviews = webhook.get("conversionReviewVersions") or []
    bundle = (webhook.get("clientConfig") or {}).get("caBundle") or ""
    return Tolerance(
        bool(reviews) and not set(reviews) & set(webhook_addresses.REVIEW_VERSIONS),
        not is_served or any(True for _ in webhook_addresses.bundle_errors(bundle, SPEC)),
    )


def errors(conversion: Object, old: Tolerance) -> Iterator[FieldError]:
    """Whoever wants a webhook must say where it is and what it understands.

    The paths are those of the older version, in which upstream's internal form is built.
    """
    at, strategy = SPEC / "conversion", conversion.get("strategy") or ""
    webhook = conversion.get("webhook") or {}
    config, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if not strategy:
        yield required(at / "strategy")
    elif strategy not in ("None", "Webhook"):
        yield not_supported(at / "strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        yield from _client_errors(config, at / "webhookClientConfig", old)
        yield from webhook_addresses.review_version_errors(
            versions, at / "conversionReviewVersions", recognized=not old.any_review
        )
        return
    text = "should not be set when strategy is not set to Webhook"
    if config is not None:
        yield forbidden(at / "webhookClientConfig", text)
    if versions:
        yield forbidden(at / "conversionReviewVersions", text)


def _client_errors(config: Object | None, at: FieldPath, old: Tolerance) -> Iterator[FieldError]:
    if config is None:
        yield required(at, "required when strategy is set to Webhook")
        return
    url, service = config.get("url"), config.get("service")
    if (url is None) is (service is None):
        yield required(at, "exactly one of url or service is required")
    elif url is not None:
        yield from webhook_addresses.url_errors(url, at / "url")
    elif service is not None:
        yield from webhook_addresses.service_errors(service, at / "service")
    if not old.any_bundle:
        yield from webhook_addresses.bundle_errors(config.get("caBundle") or "", at / "caBundle")
