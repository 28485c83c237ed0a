//! pcap and pcapng files, and the packets in them.
