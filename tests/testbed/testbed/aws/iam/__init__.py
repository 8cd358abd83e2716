"""IAM as AWS enforces it: who calls, what the call needs, and whether policies, boundary, session and trust allow it."""
