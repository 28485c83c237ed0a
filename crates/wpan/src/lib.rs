//! Netlink: hwsim radios, nl802154, lowpan links, addresses, routes, netem, namespaces.
