"""Where an image runs: QEMU, its ports, and the life of a machine."""
