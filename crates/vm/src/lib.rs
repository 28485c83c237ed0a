//! VMs, emulated by QEMU or as a User-Mode Linux: kernel, initramfs, boot, results.
//!
//! Owns everything between "here is a program and a job" and "here are the files
//! that it left": finding a stock distribution kernel without root, building an initial file
//! system in memory, starting the VM, the guest's own setup, following its progress, and
//! telling apart all the ways in which a guest can fail. Knows nothing of topologies,
//! radios or protocols: the job is opaque bytes.
//!
//! With [`Clock::Virtual`] a guest is a function of its inputs. Everything it reads is in
//! the initramfs or comes with its job by port input, its progress leaves by port output, and its results leave when it is done
//! measuring; nothing of the host reaches it while it runs.
//!
//! # Snapshots
//!
//! A boot takes longer than most jobs. With [`VmConfig::snapshots`] a guest with virtual time boots
//! once per kernel, program and configuration, is stopped just before it takes its job, and every
//! run goes on from there. It makes no difference to a run whether its snapshot was there or had
//! to be made first; a run that boots is another run, some microseconds apart, than one that goes
//! on. The directory keeps the few snapshots that were used last.
//!
//! # User-Mode Linux
//!
//! With [`Machine::Uml`] the kernel of the guest is a program, and its processes are processes of the host,
//! which the processor executes as it executes others, several times as fast as QEMU. Its time is that of
//! Linux's time travel (`time-travel=inf-cpu`): it goes on when all are idle, and by a fixed amount at
//! each system call ([`Processor`]). Everything else is the same: the program is `/init`, the job comes
//! with the root, progress and results leave by consoles into files in memory. The kernel is one of its own
//! ([`uml::build`]), and as a guest boots in a few hundredths of a second there are no snapshots.
//!
//! ```no_run
//! # async fn example() -> Result<(), vm::VmError> {
//! use vm::{Kernel, KernelSource, VmConfig};
//!
//! let kernel = Kernel::locate(&KernelSource {
//!     explicit: None,
//!     cache: vm::default_cache(),
//! })?;
//! let mut config = VmConfig::new(kernel, std::env::current_exe().unwrap());
//! config.job = b"what the guest shall do".to_vec();
//! let output = vm::run(config, |line| println!("guest: {line}")).await?;
//! println!("exit code {}, {} files", output.exit_code, output.files.len());
//! # Ok(()) }
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`guest`] | the other side: what the program does as `/init` |
//! | [`harness`] | tests that run inside a guest |
//! | [`Follow`] | whoever follows a guest, and may have it stand still |
//! | [`probe`] | whether KVM really works |
//! | [`modules`] | kernel modules in dependency order |
//! | [`initramfs`] | reproducible `newc` archives |
//! | `cache`, `checksum` | what outlives a run, and whether it is what was put there |
//! | `kernel`, `package`, `image`, `unpack` | finding, downloading and unpacking a kernel |
//! | `program`, `elf` | what is executed as `/init`, and what loads it |
//! | `snapshot`, `monitor` | a booted VM in a file, and how QEMU is told |
//! | `uml` | a User-Mode Linux: its kernel, its command line |
//! | `config`, `root`, `input`, `place`, `qemu`, `process`, `running`, `run`, `results` | one run, in this order |

mod cache;
mod checksum;
mod config;
mod elf;
mod error;
mod follow;
pub mod guest;
pub mod harness;
mod image;
pub mod initramfs;
mod input;
mod kernel;
pub mod modules;
mod monitor;
mod package;
mod place;
pub mod probe;
mod process;
mod program;
mod qemu;
mod results;
mod root;
mod run;
mod running;
mod snapshot;
pub mod uml;
mod unpack;

pub use cache::default_cache;
pub use config::{Accel, Clock, Content, Forward, GuestFile, Machine, Processor, VmConfig};
pub use error::VmError;
pub use follow::Follow;
pub use kernel::{Kernel, KernelSource, fetch, of_suite};
pub use program::{Loader, Program};
pub use run::{Output, run, run_until};
