"""admissionregistration.k8s.io: who has a say in writes."""
