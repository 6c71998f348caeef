"""From an ELF file to a program ready to run: its segments in an address space, its first stack."""
