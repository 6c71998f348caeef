"""How interfaces get their addresses, routes and name servers: by setting, by DHCP, from routers."""
