//! Return routability (RFC 6275 §5.2): tokens that prove that a node gets what is sent to its home
//! address and to its care-of address, and the key that is made of them.

use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rand_core::Rng as _;
use sha1::{Digest, Sha1};
use units::{Rng, SimTime};

use crate::codec::{self, Message, TooLong};

/// MAX_TOKEN_LIFETIME (RFC 6275 §12): for how long a mobile node may use a token.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(210);
/// MAX_NONCE_LIFETIME (RFC 6275 §12): for how long after its first use a nonce is accepted.
pub const MAX_NONCE_LIFETIME: Duration = Duration::from_secs(240);
/// MAX_RR_BINDING_LIFETIME (RFC 6275 §12): how long a correspondent keeps a binding at most.
pub const MAX_RR_BINDING_LIFETIME: Duration = Duration::from_secs(420);
/// "A convenient way to enforce the above lifetimes is to generate a new nonce every 30 seconds" (RFC
/// 6275 §5.2.7).
const NONCE_INTERVAL: Duration = Duration::from_secs(30);

/// A home or care-of init cookie: an answer belongs to the question with the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie(pub [u8; 8]);

/// A home or care-of keygen token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeygenToken(pub [u8; 8]);

/// Which nonce a token was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NonceIndex(pub u16);

/// The first 96 bits of a message authentication code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticator(pub [u8; 12]);

/// A binding management key, Kbm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BindingKey([u8; 20]);

/// Secrets are not printed.
impl fmt::Debug for KeygenToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeygenToken(..)")
    }
}

impl fmt::Debug for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindingKey(..)")
    }
}

impl Cookie {
    /// "A newly generated random number in every Home or Care-of Test Init" (RFC 6275 §5.2.3).
    pub fn new(rng: &mut Rng) -> Cookie {
        let mut octets = [0; 8];
        rng.fill_bytes(&mut octets);
        Cookie(octets)
    }
}

impl BindingKey {
    /// The key of a binding to be made: SHA-1 (home keygen token | care-of keygen token) (RFC 6275
    /// §5.2.5).
    pub fn new(home: KeygenToken, care_of: KeygenToken) -> BindingKey {
        let hash = Sha1::new().chain_update(home.0).chain_update(care_of.0);
        BindingKey(hash.finalize().into())
    }

    /// The key of a deletion: SHA-1 (home keygen token).
    pub fn of_deletion(home: KeygenToken) -> BindingKey {
        BindingKey(Sha1::digest(home.0).into())
    }
}

/// HMAC_SHA1 over parts.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha1> {
    // RFC 2104 has keys of any length.
    let hmac = Hmac::<Sha1>::new_from_slice(key).expect("a key of any length is one");
    parts
        .iter()
        .fold(hmac, |hmac, part| hmac.chain_update(part))
}

/// What vouches for a Binding Update or Acknowledgement (RFC 6275 §5.2.6, §6.2.7).
#[derive(Clone, Copy, Debug)]
pub struct Authorization {
    /// Kbm.
    pub key: BindingKey,
    /// The care-of address that is registered; the home address where a binding is deleted.
    pub care_of: Ipv6Addr,
    /// The correspondent.
    pub correspondent: Ipv6Addr,
}

impl Authorization {
    /// HMAC_SHA1 (Kbm, care-of address | correspondent | MH Data), where MH Data is "the content of
    /// the Mobility Header, excluding the Authenticator field itself ... as if the Checksum field
    /// ... was zero". `header` ends with the authenticator.
    fn code(&self, header: &[u8]) -> Hmac<Sha1> {
        let end = header.len().saturating_sub(12);
        let parts: [&[u8]; 5] = [
            &self.care_of.octets(),
            &self.correspondent.octets(),
            header.get(..4).unwrap_or_default(),
            &[0, 0],
            header.get(6..end).unwrap_or_default(),
        ];
        hmac(&self.key.0, &parts)
    }

    /// Gives an update or an acknowledgement its authenticator.
    ///
    /// # Errors
    /// It does not fit.
    pub fn sign(&self, message: &mut Message) -> Result<(), TooLong> {
        set_authenticator(message, Authenticator([0; 12]));
        let code = self.code(&message.octets()?).finalize().into_bytes();
        let first = std::array::from_fn(|i| code[i]);
        set_authenticator(message, Authenticator(first));
        Ok(())
    }

    /// Whether the authenticator at the end of a received message is the right one. `payload` is
    /// what [`Message::decode`] found an authenticator in.
    pub fn verifies(&self, payload: &[u8]) -> bool {
        let Ok(header) = codec::header(payload) else {
            return false;
        };
        let authenticator = &header[header.len().saturating_sub(12)..];
        let code = self.code(header);
        code.verify_truncated_left(authenticator).is_ok()
    }
}

fn set_authenticator(message: &mut Message, authenticator: Authenticator) {
    match message {
        Message::BindingUpdate(update) => update.authenticator = Some(authenticator),
        Message::BindingAcknowledgement(answer) => answer.authenticator = Some(authenticator),
        // The other messages have no place for one.
        _ => {}
    }
}

/// Which of its two addresses a token is to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The home address.
    Home,
    /// The care-of address.
    CareOf,
}

/// The node key and the nonces of a correspondent.
///
/// Nothing is kept of those who ask: a token is made again when it comes back.
pub struct Nonces {
    /// Kcn.
    node_key: [u8; 20],
    /// The newest is the last; each with its index and when it was first used.
    nonces: VecDeque<(NonceIndex, [u8; 8], SimTime)>,
    rng: Rng,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indices = self.nonces.iter().map(|(index, ..)| index);
        f.debug_list().entries(indices).finish()
    }
}

impl Nonces {
    /// A node key, and no nonce yet.
    pub fn new(mut rng: Rng) -> Nonces {
        let mut node_key = [0; 20];
        rng.fill_bytes(&mut node_key);
        Nonces {
            node_key,
            nonces: VecDeque::new(),
            rng,
        }
    }

    /// A token for `address`, and the index of the nonce in it. "The correspondent node MUST have a
    /// secret Kcn and a nonce. If it does not have this material yet, it MUST produce it" (RFC 6275
    /// §9.4.1); nonces are as old as their first use, and there are eight at most.
    pub fn token(
        &mut self,
        now: SimTime,
        proof: Proof,
        address: Ipv6Addr,
    ) -> (NonceIndex, KeygenToken) {
        let is_young = |made: SimTime| now.saturating_since(made) < NONCE_INTERVAL;
        let current = self.nonces.back().copied();
        let (index, nonce, _) = match current.filter(|(_, _, made)| is_young(*made)) {
            Some(current) => current,
            None => {
                self.forget(now);
                self.add(now)
            }
        };
        (index, self.token_of(proof, address, nonce))
    }

    /// The token that was made for `address` with the nonce of an index, if that is still accepted:
    /// "the correspondent node MUST NOT accept nonces beyond MAX_NONCE_LIFETIME seconds ... after
    /// the first use" (RFC 6275 §5.2.7).
    pub fn token_again(
        &self,
        now: SimTime,
        proof: Proof,
        address: Ipv6Addr,
        index: NonceIndex,
    ) -> Option<KeygenToken> {
        let mut nonces = self.nonces.iter();
        let found = nonces.find(|(known, _, made)| *known == index && is_accepted(now, *made));
        found.map(|(_, nonce, _)| self.token_of(proof, address, *nonce))
    }

    /// First (64, HMAC_SHA1 (Kcn, (address | nonce | 0 or 1))) (RFC 6275 §5.2.5).
    fn token_of(&self, proof: Proof, address: Ipv6Addr, nonce: [u8; 8]) -> KeygenToken {
        let last = match proof {
            Proof::Home => 0,
            Proof::CareOf => 1,
        };
        let parts: [&[u8]; 3] = [&address.octets(), &nonce, &[last]];
        let code = hmac(&self.node_key, &parts).finalize().into_bytes();
        KeygenToken(std::array::from_fn(|i| code[i]))
    }

    fn add(&mut self, now: SimTime) -> (NonceIndex, [u8; 8], SimTime) {
        let mut nonce = [0; 8];
        self.rng.fill_bytes(&mut nonce);
        // The first index is a random one: whoever has one from before a restart shall hear that
        // it is unknown.
        let index = match self.nonces.back() {
            Some((NonceIndex(last), ..)) => last.wrapping_add(1),
            None => self.rng.next_u32() as u16,
        };
        let added = (NonceIndex(index), nonce, now);
        self.nonces.push_back(added);
        added
    }

    /// "Expired values MUST be discarded" (RFC 6275 §5.2.2). The newest stays for its index.
    fn forget(&mut self, now: SimTime) {
        while self.nonces.len() > 1 {
            match self.nonces.front() {
                Some((_, _, made)) if !is_accepted(now, *made) => self.nonces.pop_front(),
                _ => break,
            };
        }
    }

    /// How many nonces are kept.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.nonces.len()
    }
}

fn is_accepted(now: SimTime, made: SimTime) -> bool {
    now.saturating_since(made) < MAX_NONCE_LIFETIME
}

#[cfg(test)]
mod tests;
