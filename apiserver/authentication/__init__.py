"""Who is asking? The first authenticator that recognises the caller wins.

    certificate of a front proxy + X-Remote-* headers   request_headers.py     ┐
    client certificate                                  client_certificates.py │
    Authorization: Bearer …       token_cache.py ─┬─▶   token_file.py          ├─▶  User
                                                  ├─▶   service_account_tokens.py
                                                  ├─▶   bootstrap_tokens.py    │
                                                  └─▶   webhook.py             │
    nothing                                             anonymous              ┘

A wrong proof is refused, never anonymous. Tokens of service accounts are issued here as well: `token_requests.py`.
"""
