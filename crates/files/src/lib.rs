//! Files, read and written where somebody else may have put something in the way.
//!
//! Owns how the project opens a file that is not its own making. In a run directory, which may have
//! come from anywhere, nothing but regular files is read, no symbolic link is followed, and a file
//! is written under another name beside its place and then renamed: what lay there, a link, a FIFO
//! or a device, is replaced and never opened ([`Tree`]). A file that the user names may be a
//! device or a FIFO ([`read_named`], [`write_named`]). Knows nothing of what is in the files.
//!
//! ```
//! let dir = tempfile::tempdir()?;
//! let tree = files::Tree::new(dir.path());
//! let result = dir.path().join("result.json");
//! std::os::unix::fs::symlink("/etc/passwd", &result)?;
//! assert!(tree.read(&result).is_err());
//! tree.replace(&result, b"{}")?;
//! assert_eq!(tree.read(&result)?, b"{}");
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod left_over;
mod named;
mod new_file;
mod place;
mod tree;

pub use left_over::is_left_over;
pub use named::{read_named, write_named};
pub use new_file::NewFile;
pub use tree::{MOST_BYTES, Tree, make_numbered};
