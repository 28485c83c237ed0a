//! What a guest is given: its seed and its job, as bytes.

use std::io;

use units::Seed;

/// Bytes of the seed of the kernel's random numbers.
pub(crate) const SEED_BYTES: usize = 32;

/// The job of a guest that only says how long its pause was, as nanoseconds in its progress.
pub(crate) const TRIAL: &[u8] = b"wpanlab-trial";

/// The input of one run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// The seed of the kernel's random numbers.
    pub seed: [u8; SEED_BYTES],
    /// The job, which only the program knows how to read.
    pub job: Vec<u8>,
}

impl Input {
    /// The input for a run with this seed.
    pub(crate) fn new(seed: u64, job: &[u8]) -> Input {
        Input {
            seed: Seed(seed).bytes(&["vm", "entropy"]),
            job: job.to_vec(),
        }
    }

    /// Seed and job, one behind the other.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.seed[..], &self.job].concat()
    }

    /// The opposite of [`Input::encode`].
    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Input> {
        let (seed, job) = bytes
            .split_first_chunk()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Input {
            seed: *seed,
            job: job.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_arrives_as_it_was_given_and_an_empty_job_too() {
        for job in [&b"what to do"[..], b""] {
            let input = Input::new(7, job);
            assert_eq!(Input::decode(&input.encode()).unwrap(), input);
        }
        assert!(Input::decode(&[0; SEED_BYTES - 1]).is_err());
    }

    #[test]
    fn another_seed_is_another_input() {
        assert_ne!(Input::new(1, b""), Input::new(2, b""));
    }
}
