"""Windlass's test bed: a real Kubernetes control plane and one AWS endpoint, on loopback."""
