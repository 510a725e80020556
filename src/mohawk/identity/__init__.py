"""Who a peer is: SPIFFE names, roles and certificate rules. Pure; time is an argument."""
