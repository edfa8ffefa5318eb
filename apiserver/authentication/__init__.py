"""Who is asking? The first authenticator that recognises the caller wins."""
