//! A disk in memory that records what is done with it, and can be cut off or refuse.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use rand_core::Rng as _;
use redb::StorageBackend;
use units::Rng;

/// What a disk writes whole or not at all, bytes.
pub const SECTOR: usize = 512;

/// The two files of a store.
pub const FILES: usize = 2;
pub const DATABASE: usize = 0;
pub const MARK: usize = 1;

/// What the files hold.
pub type Image = [Vec<u8>; FILES];

/// What was done, in order.
#[derive(Clone, Debug)]
pub enum Step {
    Write {
        file: usize,
        offset: usize,
        bytes: Vec<u8>,
    },
    SetLen {
        file: usize,
        length: usize,
    },
    /// A barrier: what was done with this file before is on the disk.
    Sync {
        file: usize,
    },
    /// A barrier that failed: what was done with this file before is not on the disk, and never will
    /// be, although whoever reads the file sees it (fsync(2)).
    Lost {
        file: usize,
    },
    /// So many groups are acknowledged.
    Acknowledged(usize),
}

/// What an attempt is for whoever may refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    Write,
    Sync,
}

/// Refuses attempts, or lets them wait.
type Fault = Box<dyn FnMut(usize, Attempt) -> io::Result<()> + Send>;

#[derive(Default)]
struct State {
    image: Image,
    steps: Vec<Step>,
    fault: Option<Fault>,
}

/// Both files. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk with files on it, and no steps.
    pub fn with(image: Image) -> Disk {
        let disk = Disk::default();
        disk.0.lock().unwrap().image = image;
        disk
    }

    /// A file.
    pub fn file(&self, file: usize) -> File {
        File {
            disk: self.clone(),
            file,
        }
    }

    /// What whoever reads the files sees now.
    pub fn image(&self) -> Image {
        self.0.lock().unwrap().image.clone()
    }

    /// What was done, and forgets it.
    pub fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut self.0.lock().unwrap().steps)
    }

    pub fn acknowledge(&self, groups: usize) {
        let mut state = self.0.lock().unwrap();
        state.steps.push(Step::Acknowledged(groups));
    }

    /// From now on `fault` is asked before each attempt.
    pub fn fail(&self, fault: impl FnMut(usize, Attempt) -> io::Result<()> + Send + 'static) {
        self.0.lock().unwrap().fault = Some(Box::new(fault));
    }

    /// The fault is asked without a lock on the disk, so that it may wait.
    fn attempt(&self, file: usize, attempt: Attempt) -> io::Result<()> {
        let Some(mut fault) = self.0.lock().unwrap().fault.take() else {
            return Ok(());
        };
        let result = fault(file, attempt);
        self.0.lock().unwrap().fault.get_or_insert(fault);
        result
    }
}

/// A file of a [`Disk`].
pub struct File {
    disk: Disk,
    file: usize,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.file).finish()
    }
}

impl File {
    fn step(&self, step: Step) {
        let mut state = self.disk.0.lock().unwrap();
        apply(&mut state.image, &step);
        state.steps.push(step);
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().unwrap().image[self.file].len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock().unwrap();
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let there = (state.image[self.file].get(from..)).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.attempt(self.file, Attempt::Write)?;
        let (file, length) = (self.file, length as usize);
        self.step(Step::SetLen { file, length });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (file, result) = (self.file, self.disk.attempt(self.file, Attempt::Sync));
        self.step(match result {
            Ok(()) => Step::Sync { file },
            Err(_) => Step::Lost { file },
        });
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.attempt(self.file, Attempt::Write)?;
        self.step(Step::Write {
            file: self.file,
            offset: offset as usize,
            bytes: data.to_vec(),
        });
        Ok(())
    }
}

fn apply(image: &mut Image, step: &Step) {
    match step {
        Step::Write {
            file,
            offset,
            bytes,
        } => {
            let end = offset + bytes.len();
            if image[*file].len() < end {
                image[*file].resize(end, 0);
            }
            image[*file][*offset..end].copy_from_slice(bytes);
        }
        Step::SetLen { file, length } => image[*file].resize(*length, 0),
        Step::Sync { .. } | Step::Lost { .. } | Step::Acknowledged(_) => {}
    }
}

/// A disk as it is when the power goes, while [`Step`]s are played.
#[derive(Clone, Debug, Default)]
pub struct Playback {
    /// What is on the disk for certain.
    durable: Image,
    /// What has been done since, by file.
    pending: [Vec<Step>; FILES],
}

/// How much of what is not certain is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// Some sectors of some of the first writes, and the file's length at some instant.
    Some,
}

impl Playback {
    pub fn of(image: Image) -> Playback {
        Playback {
            durable: image,
            pending: Default::default(),
        }
    }

    pub fn play(&mut self, step: &Step) {
        match step {
            Step::Write { file, .. } | Step::SetLen { file, .. } => {
                self.pending[*file].push(step.clone());
            }
            Step::Sync { file } => {
                for step in self.pending[*file].drain(..) {
                    apply(&mut self.durable, &step);
                }
            }
            Step::Lost { file } => self.pending[*file].clear(),
            Step::Acknowledged(_) => {}
        }
    }

    /// The power goes now.
    pub fn cut(&self, luck: Luck, rng: &mut Rng) -> Image {
        let mut image = self.durable.clone();
        for pending in &self.pending {
            match luck {
                Luck::None => {}
                Luck::All => pending.iter().for_each(|step| apply(&mut image, step)),
                Luck::Some => tear(&mut image, pending, rng),
            }
        }
        image
    }
}

/// Some of `pending`: those before a random one, of which each length with even odds, and each sector
/// with odds of its own, so that often almost all or almost none of them are there.
fn tear(image: &mut Image, pending: &[Step], rng: &mut Rng) {
    let issued = below(rng, pending.len() + 1);
    let odds = [1, 8, 15][below(rng, 3)];
    for step in &pending[..issued] {
        if matches!(step, Step::SetLen { .. }) && below(rng, 2) == 0 {
            apply(image, step);
        }
        let Step::Write {
            file,
            offset,
            bytes,
        } = step
        else {
            continue;
        };
        let (mut from, end) = (*offset, offset + bytes.len());
        while from < end {
            let to = ((from / SECTOR + 1) * SECTOR).min(end);
            // Beyond its length a file has nothing.
            if below(rng, 16) < odds && to <= image[*file].len() {
                image[*file][from..to].copy_from_slice(&bytes[from - offset..to - offset]);
            }
            from = to;
        }
    }
}

/// A number below `limit`.
pub fn below(rng: &mut Rng, limit: usize) -> usize {
    (rng.next_u64() % limit.max(1) as u64) as usize
}
