//! The thread that writes to a store, so that the WMMS goes on while the disk or the database works.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::Writer;

/// Why nothing more is written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten<E> {
    /// The store says so.
    #[error(transparent)]
    Store(E),
    /// The thread has ended.
    #[error("the store's thread has ended: its last words are above")]
    Ended,
}

/// A [`Writer`] on a thread of its own.
#[derive(Debug)]
pub struct WriterThread<W: Writer> {
    groups: mpsc::Sender<W::Group>,
    results: UnboundedReceiver<Result<(), W::Error>>,
    thread: JoinHandle<()>,
}

impl<W: Writer> WriterThread<W>
where
    W::Group: Send,
    W::Error: Send,
{
    /// Starts the thread. It ends when it is told to or a group cannot be written.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(mut writer: W) -> io::Result<WriterThread<W>> {
        let (groups, to_write) = mpsc::channel();
        let (done, results) = unbounded_channel();
        let write_all = move || {
            for group in to_write {
                let result = writer.commit(group);
                let failed = result.is_err();
                if done.send(result).is_err() || failed {
                    return;
                }
            }
        };
        let named = thread::Builder::new().name("store".into());
        Ok(WriterThread {
            groups,
            results,
            thread: named.spawn(write_all)?,
        })
    }

    /// Has a group written after those before it.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn write(&self, group: W::Group) -> Result<(), Unwritten<W::Error>> {
        self.groups.send(group).map_err(|_| Unwritten::Ended)
    }

    /// Waits until the next group is written, for ever if there is none. Cancel-safe.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn written(&mut self) -> Result<(), Unwritten<W::Error>> {
        let result = self.results.recv().await.ok_or(Unwritten::Ended)?;
        result.map_err(Unwritten::Store)
    }

    /// Waits until all groups are written, and ends the thread.
    ///
    /// # Errors
    /// When one cannot be written.
    pub async fn finish(self) -> Result<(), Unwritten<W::Error>> {
        let WriterThread {
            groups,
            mut results,
            thread,
        } = self;
        drop(groups);
        while let Some(result) = results.recv().await {
            result.map_err(Unwritten::Store)?;
        }
        thread.join().map_err(|_| Unwritten::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it is given; cannot write a zero.
    struct Pen(mpsc::Sender<u32>);

    #[derive(Debug)]
    struct NoInk;

    impl std::fmt::Display for NoInk {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no ink")
        }
    }

    impl std::error::Error for NoInk {}

    impl Writer for Pen {
        type Group = u32;
        type Error = NoInk;

        fn commit(&mut self, group: u32) -> Result<(), NoInk> {
            self.0.send(group).map_err(|_| NoInk)?;
            if group == 0 { Err(NoInk) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn groups_are_written_in_order_and_finish_waits_for_all() {
        let (pen, paper) = mpsc::channel();
        let mut writer = WriterThread::start(Pen(pen)).unwrap();
        (1..=3).for_each(|group| writer.write(group).unwrap());
        writer.written().await.unwrap();
        writer.finish().await.unwrap();
        assert!(paper.iter().eq(1..=3));
    }

    #[tokio::test]
    async fn after_a_failure_nothing_more_is_written() {
        let (pen, paper) = mpsc::channel();
        let mut writer = WriterThread::start(Pen(pen)).unwrap();
        writer.write(0).unwrap();
        // The thread may have ended already.
        let _ = writer.write(1);
        let error = writer.written().await.unwrap_err();
        assert_eq!(error.to_string(), "no ink");
        writer.finish().await.unwrap();
        assert!(paper.iter().eq([0]));
    }
}
