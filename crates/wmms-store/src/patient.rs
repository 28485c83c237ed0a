//! A file below the store that does not give up at once: what the disk refuses is tried again, if the
//! owner has the patience.
//!
//! *Why below the store.* After an error redb gives up its file until it is opened again, and what a
//! failed `fsync` left in the kernel's cache counts as written there, although it is not: the next
//! `fsync` succeeds and promises what nobody keeps. So everything since the last `fsync` that
//! succeeded is kept here, and written once more before the next one. The store above sees a disk
//! that is slow.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use redb::{BackendError, StorageBackend};

/// Asked whenever the disk has refused something: whether to try again. Who is asked waits first, as
/// long as he thinks right; nothing is written meanwhile.
pub type Patience = Box<dyn Fn(&io::Error) -> bool + Send + Sync>;

/// Who is asked, by both files of a store; nobody before the store is open.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<OnceLock<Patience>>);

impl Asked {
    /// From now on `patience` is asked; who was named first stays.
    pub(crate) fn ask(&self, patience: Patience) {
        let _ = self.0.set(patience);
    }

    /// Does it until it is done or nobody has the patience.
    fn until_done<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt() {
                // What is not there does not come by waiting.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(error),
                Err(error) if self.0.get().is_some_and(|patience| patience(&error)) => {}
                result => return result,
            }
        }
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Asked")
            .field(&self.0.get().is_some())
            .finish()
    }
}

/// What is written since the last `fsync` that succeeded, in order: place and bytes.
type Unsynced = Vec<(u64, Vec<u8>)>;

/// A backend whose owner may have patience.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: Box<dyn StorageBackend>,
    asked: Asked,
    unsynced: Mutex<Unsynced>,
}

impl Patient {
    pub(crate) fn new(inner: impl StorageBackend, asked: Asked) -> Patient {
        Patient {
            inner: Box::new(inner),
            asked,
            unsynced: Mutex::default(),
        }
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        // It is whole between two statements.
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Patient {
    fn len(&self) -> io::Result<u64> {
        self.asked.until_done(|| self.inner.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.asked.until_done(|| self.inner.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.asked.until_done(|| self.inner.set_len(len))?;
        let mut unsynced = self.unsynced();
        unsynced.retain_mut(|(offset, bytes)| {
            let left = usize::try_from(len.saturating_sub(*offset)).unwrap_or(usize::MAX);
            bytes.truncate(left);
            !bytes.is_empty()
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        let mut again = false;
        self.asked.until_done(|| {
            if again {
                for (offset, bytes) in unsynced.iter() {
                    self.inner.write(*offset, bytes)?;
                }
            }
            again = true;
            self.inner.sync_data()
        })?;
        unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.asked.until_done(|| self.inner.write(offset, data))?;
        self.unsynced().push((offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
