//! Network address translation (RFC 4787) by the kernel's conntrack and nf_tables: what a namespace forwards
//! from one interface to another leaves with the address of that other one.
//!
//! A mapping begins with the first datagram from the inside. It is the kernel's: address- and port-dependent
//! (RFC 4787 §4.1, §5), with the port of the inside where that is free on the outside (§4.2.1). It is
//! forgotten when no datagram has crossed by it for its timeout; datagrams of both directions count (§4.3, "NAT
//! Outbound refresh behavior" and "NAT Inbound refresh behavior", both true). What comes for it later is for the
//! router itself, and dropped there: UDP that nobody asked for is. Otherwise conntrack would take it for the beginning
//! of a flow of its own, and while that lasts the inside could not have its port again.
//!
//! The messages are those of `linux/netfilter/nf_tables.h`. They are written here by hand: no crate is needed for
//! a few of them.

use std::time::Duration;

use crate::direct::{Direct, Message};
use crate::error::{Errno, Error, Failure, Result};
use crate::rtnl::put_attribute;
use crate::sysctl;

/// The modules of the kernel that a NAT needs: conntrack, tables, and in them chains that translate, the rule that
/// does, and what rules know of conntrack; first the algorithm that `libcrc32c`, which conntrack needs, wants to find.
pub const KERNEL_MODULES: &[&str] = &[
    "crc32c_generic",
    "nf_conntrack",
    "nf_tables",
    "nft_chain_nat",
    "nft_masq",
    "nft_ct",
];

/// `NETLINK_NETFILTER` (`linux/netlink.h`).
const NETLINK_NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES` (`linux/netfilter/nfnetlink.h`).
const NFTABLES: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN` and `_END`: what is between them is done as a whole, or not at all.
const BATCH: [u16; 2] = [0x10, 0x11];
const NEWTABLE: u16 = 0;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;

const NLM_F_CREATE: u16 = 0x400;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_APPEND: u16 = 0x800;
/// An attribute that consists of attributes.
const NESTED: u16 = 0x8000;

/// `NFPROTO_IPV6`.
const IPV6: u8 = 10;
/// `NF_INET_LOCAL_IN`, and where in it packets are filtered: `NF_IP6_PRI_FILTER`.
const LOCAL_IN: u32 = 1;
const FILTER: u32 = 0;
/// `NF_INET_POST_ROUTING`, and where in it sources are translated: `NF_IP6_PRI_NAT_SRC`.
const POST_ROUTING: u32 = 4;
const SOURCE_NAT: u32 = 100;
/// `NFT_META_IIFNAME`, `NFT_META_OIFNAME` and `NFT_META_L4PROTO`.
const FROM: u32 = 6;
const TO: u32 = 7;
const PROTOCOL: u32 = 16;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// `NFT_CT_STATE`, and its bit for a packet that begins something: `NF_CT_STATE_BIT(IP_CT_NEW)`.
const STATE: u32 = 0;
const NEW: u32 = 8;
/// `NFT_REG_VERDICT`, and `NF_DROP`.
const VERDICT: u32 = 0;
const DROP: u32 = 0;
/// `NFT_REG_1`.
const REGISTER: u32 = 1;
/// `NFT_CMP_EQ`.
const EQUAL: u32 = 0;
/// `IFNAMSIZ`: bytes of an interface's name with the zeros behind it.
const NAME: usize = 16;

/// The table, and its chains.
const TABLE: &str = "wpanlab";
const TRANSLATION: &str = "masquerade";
const UNASKED: &str = "unasked";

/// What a name that the kernel does not know is missing.
const LACKING: [(Errno, &str); 2] = [
    (
        Errno::ENOENT,
        "load the kernel modules nft_chain_nat, nft_masq and nft_ct",
    ),
    (Errno::EOPNOTSUPP, "load the kernel module nf_tables"),
];

/// Translates, in the calling thread's namespace, what it forwards from the interface `inside` to the interface
/// `outside`. A mapping of UDP lives for `timeout` after its last datagram; whole seconds. Equals
///
/// ```text
/// sysctl -w net.netfilter.nf_conntrack_udp_timeout=S net.netfilter.nf_conntrack_udp_timeout_stream=S
/// nft add table ip6 wpanlab
/// nft add chain ip6 wpanlab masquerade '{ type nat hook postrouting priority srcnat; }'
/// nft add rule ip6 wpanlab masquerade iifname INSIDE oifname OUTSIDE masquerade
/// nft add chain ip6 wpanlab unasked '{ type filter hook input priority filter; }'
/// nft add rule ip6 wpanlab unasked iifname OUTSIDE meta l4proto udp ct state new drop
/// ```
///
/// # Errors
/// When the kernel lacks a module of [`KERNEL_MODULES`], which the error names, and when the namespace translates
/// already.
pub fn masquerade(inside: &str, outside: &str, timeout: Duration) -> Result<()> {
    // Of datagrams that nobody has answered, and of those that go both ways.
    for name in ["udp_timeout", "udp_timeout_stream"] {
        let name = format!("net.netfilter.nf_conntrack_{name}");
        match sysctl::write(&name, timeout.as_secs()) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                let what = "no such variable: load the kernel module nf_conntrack";
                return Err(Error::unusable(name, "set", what));
            }
            written => written?,
        }
    }
    let at = |failure: Failure| {
        let operation = format_args!("translate from {inside} to {outside}");
        failure.at("nf_tables", operation, &LACKING)
    };
    let mut netlink = Direct::open(NETLINK_NETFILTER).map_err(not_opened)?;
    netlink.batch(&requests(inside, outside)).map_err(at)
}

/// The batch, its first and its last message included.
fn requests(inside: &str, outside: &str) -> Vec<Message> {
    let mut table = Bytes::of(IPV6, 0);
    table.text(1, TABLE);
    let of_tables = |kind: u16, flags: u16, bytes: Bytes| Message {
        kind: NFTABLES << 8 | kind,
        flags: NLM_F_CREATE | flags,
        payload: bytes.0,
        answered: true,
    };
    let [begin, end] = BATCH.map(|kind| Message {
        kind,
        flags: 0,
        payload: Bytes::of(0, NFTABLES).0,
        answered: false,
    });
    let translation = chain(TRANSLATION, "nat", POST_ROUTING, SOURCE_NAT);
    let translate = rule(TRANSLATION, |rule| {
        rule.is_at(FROM, inside);
        rule.is_at(TO, outside);
        rule.expression("masq", |_| {});
    });
    let unasked = chain(UNASKED, "filter", LOCAL_IN, FILTER);
    let drop = rule(UNASKED, |rule| {
        rule.is_at(FROM, outside);
        rule.is("meta", PROTOCOL, &[UDP]);
        rule.is("ct", STATE, &NEW.to_ne_bytes());
        rule.drop();
    });
    vec![
        begin,
        of_tables(NEWTABLE, NLM_F_EXCL, table),
        of_tables(NEWCHAIN, NLM_F_EXCL, translation),
        of_tables(NEWRULE, NLM_F_APPEND, translate),
        of_tables(NEWCHAIN, NLM_F_EXCL, unasked),
        of_tables(NEWRULE, NLM_F_APPEND, drop),
        end,
    ]
}

/// A chain of a type, at a hook.
fn chain(name: &str, kind: &str, hook: u32, priority: u32) -> Bytes {
    let mut chain = Bytes::of(IPV6, 0);
    chain.text(1, TABLE);
    chain.text(3, name);
    chain.nested(4, |at| {
        at.number(1, hook);
        at.number(2, priority);
    });
    chain.text(7, kind);
    chain
}

/// A rule of a chain with its expressions.
fn rule(chain: &str, write: impl FnOnce(&mut Bytes)) -> Bytes {
    let mut rule = Bytes::of(IPV6, 0);
    rule.text(1, TABLE);
    rule.text(2, chain);
    rule.nested(4, write);
    rule
}

fn not_opened(error: std::io::Error) -> Error {
    let advice = [(Errno::EPROTONOSUPPORT, "load the kernel module nf_tables")];
    match error.raw_os_error() {
        Some(code) => Failure::refused(-code, None).at("nf_tables", "open a socket", &advice),
        None => Error::io("nf_tables", "open a socket", error),
    }
}

/// A message that is being written: `struct nfgenmsg`, then attributes. Numbers in them are in network order.
struct Bytes(Vec<u8>);

impl Bytes {
    fn of(family: u8, resource: u16) -> Bytes {
        let [high, low] = resource.to_be_bytes();
        Bytes(vec![family, 0, high, low])
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        put_attribute(&mut self.0, kind, value);
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    fn nested(&mut self, kind: u16, write: impl FnOnce(&mut Bytes)) {
        let mut inner = Bytes(Vec::new());
        write(&mut inner);
        self.attribute(kind | NESTED, &inner.0);
    }

    /// An element of the list of a rule's expressions.
    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Bytes)) {
        self.nested(1, |element| {
            element.text(1, name);
            element.nested(2, write);
        });
    }

    /// Goes on with packets whose interface, of the kind `key`, has this name.
    fn is_at(&mut self, key: u32, interface: &str) {
        let mut name = interface.as_bytes().to_vec();
        name.resize(NAME, 0);
        self.is("meta", key, &name);
    }

    /// Goes on with packets of which an expression, `meta` or `ct`, loads this value.
    fn is(&mut self, expression: &str, key: u32, value: &[u8]) {
        self.expression(expression, |load| {
            load.number(1, REGISTER);
            load.number(2, key);
        });
        self.expression("cmp", |compare| {
            compare.number(1, REGISTER);
            compare.number(2, EQUAL);
            compare.nested(3, |data| data.attribute(1, value));
        });
    }

    /// Drops what has come so far.
    fn drop(&mut self) {
        self.expression("immediate", |verdict| {
            verdict.number(1, VERDICT);
            verdict.nested(2, |data| {
                data.nested(2, |verdict| verdict.number(1, DROP));
            });
        });
    }
}
