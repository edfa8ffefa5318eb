"""rbac.authorization.k8s.io: roles and who holds them."""
