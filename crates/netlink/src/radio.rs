//! A new radio and the phy that appeared with it.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::hwsim::{Hwsim, RadioId};
use crate::nl802154::{Nl802154, PhyIndex, WpanInterface};

/// How often to try again when somebody else makes radios at the same moment.
const ATTEMPTS: u32 = 16;

/// A radio of hwsim with its phy and its node interface, all in the initial namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRadio {
    /// hwsim's number.
    pub radio: RadioId,
    /// Its phy.
    pub phy: PhyIndex,
    /// The number of its node interface in the initial namespace.
    pub wpan_ifindex: u32,
    /// The name of its node interface there.
    pub name: String,
}

/// Makes a radio and finds its phy and interface. `nl802154` must be connected in the
/// initial namespace.
///
/// hwsim does not say which phy belongs to a radio, so the listings of nl802154 before and
/// after are compared; when somebody else made one in between, it is ambiguous: the radio
/// is deleted and another is made.
///
/// `made` is told of every radio as soon as it is there: who owns it has to write that down before
/// he is killed.
pub async fn create_radio_with_phy(
    hwsim: &Hwsim,
    nl802154: &Nl802154,
    made: impl FnMut(RadioId),
) -> Result<NewRadio> {
    let radios = create_radios_with_phys(hwsim, nl802154, 1, made).await?;
    let [radio] = <[NewRadio; 1]>::try_from(radios).expect("as many as were asked for");
    Ok(radio)
}

/// As [`create_radio_with_phy`], `count` of them with two listings in all: a listing shows every radio of the kernel,
/// and a thousand nodes have many. The longer it takes, the likelier somebody else makes one meanwhile: for a kernel
/// in which nobody else does.
pub async fn create_radios_with_phys(
    hwsim: &Hwsim,
    nl802154: &Nl802154,
    count: usize,
    mut made: impl FnMut(RadioId),
) -> Result<Vec<NewRadio>> {
    find_phys(hwsim, nl802154, count, async || {
        let radio = hwsim.create_radio().await?;
        made(radio);
        Ok(radio)
    })
    .await
}

/// As [`create_radio_with_phy`], by [`Hwsim::create_radio_apart`], for an owner that may be killed.
/// `made` is told in this process.
pub async fn create_radio_apart_with_phy(
    hwsim: &Hwsim,
    nl802154: &Nl802154,
    write_down: impl Fn(RadioId),
    mut made: impl FnMut(RadioId),
) -> Result<NewRadio> {
    let radios = find_phys(hwsim, nl802154, 1, async || {
        let radio = hwsim.create_radio_apart(&write_down)?;
        made(radio);
        Ok(radio)
    });
    let [radio] = <[NewRadio; 1]>::try_from(radios.await?).expect("as many as were asked for");
    Ok(radio)
}

/// Makes `count` radios and finds their phys, which the kernel numbers in the order in which they were made.
async fn find_phys(
    hwsim: &Hwsim,
    nl802154: &Nl802154,
    count: usize,
    mut create: impl AsyncFnMut() -> Result<RadioId>,
) -> Result<Vec<NewRadio>> {
    for _ in 0..ATTEMPTS {
        let before: BTreeSet<PhyIndex> = phys(&nl802154.interfaces().await?);
        let mut radios = Vec::with_capacity(count);
        for _ in 0..count {
            radios.push(create().await?);
        }
        let mut after = nl802154.interfaces().await?;
        after.retain(|interface| !before.contains(&interface.phy));
        if after.len() == count {
            after.sort_by_key(|interface| interface.phy);
            let pairs = radios.into_iter().zip(after);
            return Ok(pairs
                .map(|(radio, its)| NewRadio::new(radio, its))
                .collect());
        }
        for radio in &radios {
            hwsim.delete_radio(*radio).await?;
        }
        if after.is_empty() {
            return Err(Error::unusable(
                radios[0],
                "find its phy",
                "none appeared; nl802154 must be connected in the initial namespace",
            ));
        }
    }
    Err(Error::unusable(
        "hwsim",
        "create radio",
        format_args!("others made radios at the same time, {ATTEMPTS} times in a row"),
    ))
}

impl NewRadio {
    fn new(radio: RadioId, interface: WpanInterface) -> NewRadio {
        NewRadio {
            radio,
            phy: interface.phy,
            wpan_ifindex: interface.ifindex,
            name: interface.name,
        }
    }
}

fn phys(interfaces: &[WpanInterface]) -> BTreeSet<PhyIndex> {
    interfaces.iter().map(|interface| interface.phy).collect()
}
