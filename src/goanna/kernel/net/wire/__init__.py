"""Wire formats: pure functions that turn bytes into values and back. They know no time, no device and no state."""
