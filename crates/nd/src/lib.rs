//! IPv6 neighbour discovery: router advertisements and solicitations.
