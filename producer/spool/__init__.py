"""Keep received and unpacked files until some days after their outcomes are known."""
