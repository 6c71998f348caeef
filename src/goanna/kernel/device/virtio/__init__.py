"""virtio devices (OASIS Virtual I/O Device 1.2): queues and transports once, under every driver."""
