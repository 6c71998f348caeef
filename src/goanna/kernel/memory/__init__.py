"""Physical pages, kernel objects, address spaces, copies from and to the program's memory."""
