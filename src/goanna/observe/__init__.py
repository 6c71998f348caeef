"""What the kernel tells, turned into something a person reads."""
