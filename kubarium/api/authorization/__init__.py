"""authorization.k8s.io: may they?"""
