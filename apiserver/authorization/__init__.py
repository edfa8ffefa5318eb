"""May they? Each authorizer allows, denies, or has no opinion; the first that has one decides."""
