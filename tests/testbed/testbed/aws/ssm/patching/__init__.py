"""Patch Manager: what AWS-RunPatchBaseline finds and installs on simulated nodes, and what the service then knows of it."""
