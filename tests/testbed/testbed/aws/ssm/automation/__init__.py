"""Automation: runbooks (documents of type Automation, schema 0.3) and their executions."""
