//! DHCPv6 client, server and relay agent.
