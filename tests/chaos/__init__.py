"""The whole system as separate processes, hurt at random moments: docs/chaos.md."""
