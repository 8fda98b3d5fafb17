"""What the suite programs in Python share: the checks, the report, and what a check asks of a client."""
