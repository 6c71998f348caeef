"""TCP (RFC 9293): a machine of pure state that is handed the time and a segment, and puts segments into an outbox."""
