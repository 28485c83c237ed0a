//! The mesh addressing header (RFC 4944 §5.2).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+----------------+----------------------+---------------
//! |1 0|V|F|HopsLft| hops left, if  | originator           | final
//! |   | | |       | HopsLft is 0xf | 8 bytes, or 2 if V   | 8, or 2 if F
//! +-+-+-+-+-+-+-+-+----------------+----------------------+---------------
//! ```

use units::{Eui64, ShortAddress};

use super::{Below, Ends, LinkAddress, Payload, Unread};

const HEADER: &str = "6LoWPAN mesh header";

const ORIGINATOR_IS_SHORT: u8 = 0x20;
const FINAL_IS_SHORT: u8 = 0x10;

/// Takes the header off: the ends of the link are then those of the mesh.
pub(super) fn take(data: &mut Payload<'_>, below: &mut Below) -> Result<(), Unread> {
    let [dispatch] = data.take(HEADER)?;
    let hops_left = match dispatch & 0xf {
        0xf => data.take::<1>(HEADER)?[0],
        hops => hops,
    };
    let src = address(data, dispatch & ORIGINATOR_IS_SHORT != 0)?;
    let dst = address(data, dispatch & FINAL_IS_SHORT != 0)?;
    below.mesh_hops_left = Some(hops_left);
    if let Some(link) = &mut below.link {
        *link = Ends {
            src: Some(src),
            dst: Some(dst),
            ..*link
        };
    }
    Ok(())
}

fn address(data: &mut Payload<'_>, short: bool) -> Result<LinkAddress, Unread> {
    Ok(match short {
        true => LinkAddress::Short(ShortAddress(u16::from_be_bytes(data.take(HEADER)?))),
        false => LinkAddress::Extended(Eui64(data.take(HEADER)?)),
    })
}
