"""What is booted: the root file system, the layout, the file that QEMU starts."""
