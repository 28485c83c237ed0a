//! The thread that writes to a WMMS's store, so that the WMMS goes on while the disk works.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use store::Writer;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A [`Writer`] on a thread of its own.
#[derive(Debug)]
pub(crate) struct WriterThread<W: Writer> {
    groups: mpsc::Sender<W::Group>,
    results: UnboundedReceiver<Result<(), W::Error>>,
    thread: JoinHandle<()>,
}

impl<W: Writer> WriterThread<W>
where
    W::Group: Send,
    W::Error: std::error::Error + Send + Sync,
{
    /// Starts the thread. It ends when it is told to or a group cannot be written.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(crate) fn start(mut writer: W) -> Result<WriterThread<W>> {
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
            thread: named.spawn(write_all).context("the store's thread")?,
        })
    }

    /// Has a group written after those before it.
    ///
    /// # Errors
    /// When the thread has ended.
    pub(crate) fn write(&self, group: W::Group) -> Result<()> {
        self.groups.send(group).map_err(|_| ended())
    }

    /// Waits until the next group is written, for ever if there is none. Cancel-safe.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn written(&mut self) -> Result<()> {
        Ok(self.results.recv().await.ok_or_else(ended)??)
    }

    /// Waits until all groups are written, and ends the thread.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) async fn finish(self) -> Result<()> {
        let WriterThread {
            groups,
            mut results,
            thread,
        } = self;
        drop(groups);
        while let Some(result) = results.recv().await {
            result?;
        }
        thread.join().map_err(|_| ended())
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the store's thread has ended: its last words are above")
}
