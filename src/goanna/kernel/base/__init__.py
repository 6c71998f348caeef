"""What every room of the kernel stands on: error numbers, locks, lists, trees, text, log and panic."""
