"""Keep received and unpacked files until some days after their outcome."""
