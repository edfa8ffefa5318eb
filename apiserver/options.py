"""Every flag, grouped as `--help` shows them. Names, defaults and units are those of kube-apiserver."""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.accepted_flags import AcceptedFlags
from apiserver.audit_flags import AuditFlags
from kubarium.component_base import features
from kubarium.component_base.cipher_suites import CipherSuite
from kubarium.component_base.options import Duration, Whole, flag
from kubarium.component_base.process_flags import LoggingFlags, MetricsFlags

ETCD, SECURE, AUTHENTICATION = "Etcd flags", "Secure serving flags", "Authentication flags"
AUTHORIZATION, ADMISSION, MISC = "Authorization flags", "Admission flags", "Misc flags"


@dataclass(frozen=True)
class Options(AuditFlags, AcceptedFlags, MetricsFlags, LoggingFlags):
    """How an API server is started."""

    etcd_servers: tuple[str, ...] = flag(
        (), "etcd servers to connect with (scheme://ip:port), comma separated.", group=ETCD
    )
    etcd_servers_overrides: tuple[str, ...] = flag(
        (), "Resources with etcd servers of their own: group/resource#url;url, comma separated.", group=ETCD
    )
    etcd_cafile: str = flag("", "The CA file that secures etcd communication.", group=ETCD)
    etcd_certfile: str = flag("", "The certificate file that secures etcd communication.", group=ETCD)
    etcd_keyfile: str = flag("", "The key file that secures etcd communication.", group=ETCD)
    etcd_compaction_interval: Duration = flag(
        Duration(300.0), "The interval of compaction requests; 0 for none.", group=ETCD
    )
    etcd_healthcheck_timeout: Duration = flag(
        Duration(2.0), "How long the health check waits for etcd.", group=ETCD
    )
    etcd_readycheck_timeout: Duration = flag(
        Duration(2.0), "How long the check of readiness waits for etcd.", group=ETCD
    )
    encryption_provider_config: str = flag(
        "", "File that says which resources are encrypted in etcd, and how.", group=ETCD
    )
    encryption_provider_config_automatic_reload: bool = flag(
        False, "Take over changes of --encryption-provider-config while the server runs.", group=ETCD
    )
    event_ttl: Duration = flag(Duration(3600.0), "Amount of time to retain events.", group=ETCD)

    bind_address: str = flag(
        "0.0.0.0", "The IP address on which to listen for the --secure-port.", group=SECURE
    )
    secure_port: int = flag(6443, "The port on which to serve HTTPS.", group=SECURE)
    tls_cert_file: str = flag("", "File with the x509 certificate for HTTPS.", group=SECURE)
    tls_private_key_file: str = flag("", "File with the private key matching --tls-cert-file.", group=SECURE)
    tls_sni_cert_key: tuple[Whole, ...] = flag(
        (),
        "More certificates, by the name that clients ask for: cert,key or cert,key:domain,domain.",
        group=SECURE,
    )
    tls_min_version: str = flag(
        "",
        "Minimum TLS version supported.",
        group=SECURE,
        choices=("", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"),
    )
    tls_cipher_suites: tuple[CipherSuite, ...] = flag(
        (),
        "Cipher suites of TLS 1.2, comma separated; those that OpenSSL takes for safe by default.",
        group=SECURE,
    )
    advertise_address: str = flag("", "The IP address on which to advertise the API server to the cluster.")
    request_timeout: Duration = flag(
        Duration(60.0), "How long a handler may take before the request is timed out."
    )
    cors_allowed_origins: tuple[str, ...] = flag(
        (), "Regular expressions of origins whose pages may read answers in browsers."
    )
    strict_transport_security_directives: tuple[str, ...] = flag(
        (), "What browsers are told of HTTPS: max-age=31536000,includeSubDomains,preload."
    )
    shutdown_delay_duration: Duration = flag(
        Duration(0.0), "How long to serve on after the signal to stop, though /readyz fails."
    )
    shutdown_send_retry_after: bool = flag(
        False, "Go on listening until all requests are done, and send who comes meanwhile away with 429."
    )
    shutdown_grace_period: Duration = flag(
        Duration(10.0), "How long requests under way may take when the server stops."
    )
    state_dir: str = flag(
        "", "Directory for the compiled schema cache; by default a folder of the user's cache."
    )

    client_ca_file: str = flag(
        "",
        "Clients with a certificate signed by one of these authorities are recognised.",
        group=AUTHENTICATION,
    )
    anonymous_auth: bool = flag(
        True, "Accept requests that nobody recognises as system:anonymous.", group=AUTHENTICATION
    )
    token_auth_file: str = flag("", "File of static tokens: token,user,uid,groups.", group=AUTHENTICATION)
    enable_bootstrap_token_auth: bool = flag(
        False, "Recognise bootstrap tokens in kube-system.", group=AUTHENTICATION
    )
    authentication_token_webhook_config_file: str = flag(
        "", "kubeconfig of a remote TokenReview service.", group=AUTHENTICATION
    )
    authentication_token_webhook_version: str = flag(
        "v1beta1", "The API version of the TokenReview to send.", group=AUTHENTICATION
    )
    authentication_token_webhook_cache_ttl: Duration = flag(
        Duration(120.0), "How long answers of the token webhook are kept.", group=AUTHENTICATION
    )
    authentication_config: str = flag(
        "", "File with issuers of tokens that are believed; instead of --oidc-*.", group=AUTHENTICATION
    )
    oidc_issuer_url: str = flag(
        "", "The URL of the OpenID issuer, HTTPS only; its tokens are believed.", group=AUTHENTICATION
    )
    oidc_client_id: str = flag(
        "", "The client for which the issuer's tokens must be meant.", group=AUTHENTICATION
    )
    oidc_ca_file: str = flag(
        "",
        "The authority of the issuer's certificate; those of the machine by default.",
        group=AUTHENTICATION,
    )
    oidc_username_claim: str = flag("sub", "The claim with the user's name.", group=AUTHENTICATION)
    oidc_username_prefix: str = flag(
        "", "What stands before the names of the issuer's users; - is nothing.", group=AUTHENTICATION
    )
    oidc_groups_claim: str = flag("", "The claim with the user's groups.", group=AUTHENTICATION)
    oidc_groups_prefix: str = flag("", "What stands before the issuer's groups.", group=AUTHENTICATION)
    oidc_signing_algs: tuple[str, ...] = flag(
        ("RS256",), "The algorithms by which tokens may be signed.", group=AUTHENTICATION
    )
    oidc_required_claim: dict[str, str] = flag(
        {}, "Claims that a token must have: key=value pairs.", group=AUTHENTICATION
    )
    service_account_key_file: tuple[str, ...] = flag(
        (), "Keys with which service account tokens are verified.", group=AUTHENTICATION
    )
    service_account_signing_key_file: str = flag(
        "", "Key with which service account tokens are signed.", group=AUTHENTICATION
    )
    service_account_signing_endpoint: str = flag(
        "",
        "Path of the socket of whoever signs service account tokens instead; @name for an abstract one.",
        group=AUTHENTICATION,
    )
    service_account_issuer: tuple[str, ...] = flag(
        ("https://kubernetes.default.svc.cluster.local",),
        "Identifier of the token issuer; the first one signs.",
        group=AUTHENTICATION,
    )
    service_account_jwks_uri: str = flag(
        "", "Where relying parties find the keys; this server by default.", group=AUTHENTICATION
    )
    service_account_max_token_expiration: Duration = flag(
        Duration(0.0), "The longest life of a token that is asked for; 0 is no limit.", group=AUTHENTICATION
    )
    service_account_extend_token_expiration: bool = flag(
        True,
        "Let tokens in pods live a year, and warn of those that are used for long.",
        group=AUTHENTICATION,
    )
    api_audiences: tuple[str, ...] = flag(
        (), "Audiences that tokens for this server have; the issuer by default.", group=AUTHENTICATION
    )
    requestheader_client_ca_file: str = flag(
        "", "Authority of front proxies that vouch for users in headers.", group=AUTHENTICATION
    )
    requestheader_allowed_names: tuple[str, ...] = flag(
        (), "Common names that front proxies may have.", group=AUTHENTICATION
    )
    requestheader_username_headers: tuple[str, ...] = flag(
        ("X-Remote-User",), "Headers with the user's name.", group=AUTHENTICATION
    )
    requestheader_uid_headers: tuple[str, ...] = flag(
        ("X-Remote-Uid",), "Headers with the user's uid.", group=AUTHENTICATION
    )
    requestheader_group_headers: tuple[str, ...] = flag(
        ("X-Remote-Group",), "Headers with groups.", group=AUTHENTICATION
    )
    requestheader_extra_headers_prefix: tuple[str, ...] = flag(
        ("X-Remote-Extra-",), "Prefixes of headers with more.", group=AUTHENTICATION
    )

    authorization_mode: tuple[str, ...] = flag(
        ("Node", "RBAC"), "Ordered list of authorizers.", group=AUTHORIZATION
    )
    authorization_policy_file: str = flag(
        "", "File with policies of --authorization-mode=ABAC, one JSON object a line.", group=AUTHORIZATION
    )
    authorization_webhook_config_file: str = flag(
        "", "kubeconfig of a remote SubjectAccessReview service.", group=AUTHORIZATION
    )
    authorization_webhook_version: str = flag(
        "v1beta1", "The API version of the SubjectAccessReview to send.", group=AUTHORIZATION
    )
    authorization_webhook_cache_authorized_ttl: Duration = flag(
        Duration(300.0), "How long a webhook's consent is remembered.", group=AUTHORIZATION
    )
    authorization_webhook_cache_unauthorized_ttl: Duration = flag(
        Duration(30.0), "How long a webhook's refusal is remembered.", group=AUTHORIZATION
    )
    authorization_config: str = flag(
        "", "File with the authorizers; instead of --authorization-mode and its webhook.", group=AUTHORIZATION
    )

    enable_admission_plugins: tuple[str, ...] = flag(
        (), "Plugins to enable besides the default ones.", group=ADMISSION
    )
    disable_admission_plugins: tuple[str, ...] = flag(
        (), "Plugins to disable although they are on by default.", group=ADMISSION
    )
    admission_control_config_file: str = flag("", "File with admission configuration.", group=ADMISSION)
    default_not_ready_toleration_seconds: int = flag(
        300, "How long pods that say nothing about it stay on a node that is not ready.", group=ADMISSION
    )
    default_unreachable_toleration_seconds: int = flag(
        300, "How long pods that say nothing about it stay on a node that is unreachable.", group=ADMISSION
    )

    service_cluster_ip_range: tuple[str, ...] = flag(
        ("10.96.0.0/12",), "CIDRs from which cluster IPs are given.", group=MISC
    )
    kubernetes_service_node_port: int = flag(
        0, "If not 0, the service kubernetes is of type NodePort, with this port on every node."
    )
    service_node_port_range: str = flag(
        "30000-32767", "Ports that services of type NodePort may have.", group=MISC
    )
    kubelet_client_certificate: str = flag("", "Client certificate for connections to kubelets.", group=MISC)
    kubelet_client_key: str = flag("", "Key of the client certificate for kubelets.", group=MISC)
    kubelet_certificate_authority: str = flag("", "Authority of the kubelets' certificates.", group=MISC)
    kubelet_preferred_address_types: tuple[str, ...] = flag(
        ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"),
        "Preferred node addresses.",
        group=MISC,
    )
    proxy_client_cert_file: str = flag(
        "", "Client certificate for aggregated API servers and webhooks.", group=MISC
    )
    proxy_client_key_file: str = flag("", "Key of --proxy-client-cert-file.", group=MISC)
    allow_privileged: bool = flag(False, "If true, allow privileged containers.", group=MISC)
    enable_priority_and_fairness: bool = flag(True, "Queue and limit requests by flow schemas.")
    max_requests_inflight: int = flag(400, "The most reading requests under way at a time.")
    max_mutating_requests_inflight: int = flag(200, "The most writing requests under way at a time.")
    feature_gates: tuple[str, ...] = flag((), f"Pairs of component:name=value. {features.HELP}")

    @property
    def node_ports(self) -> tuple[int, int]:
        """The node port range as two numbers."""
        first, _, last = self.service_node_port_range.partition("-")
        return int(first), int(last)
