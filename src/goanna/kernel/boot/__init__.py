"""From the loader's hands to the program's first instruction: what the machine is told, and the order of the start."""
