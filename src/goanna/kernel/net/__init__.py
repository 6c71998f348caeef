"""TCP/IP: docs/network.md says how the parts fit together."""
