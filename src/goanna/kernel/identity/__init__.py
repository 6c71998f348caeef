"""Who a process is and what it may use: users, groups, capabilities, limits, names of the machine."""
