//! Claims: a directory, a lock and a journal per run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use crate::object::{RemoveNoRadios, Remover, is_running};
use crate::{CustodyError, Object};

const LOCK: &str = "lock";
const JOURNAL: &str = "journal.jsonl";
/// What the claim is for, as a path.
const PURPOSE: &str = "for.path";

/// Where the claims of this user stand: `/run/wpanlab` for root, otherwise
/// `$XDG_RUNTIME_DIR/wpanlab`, otherwise `/tmp/wpanlab-UID`.
pub fn state_root() -> PathBuf {
    if geteuid().is_root() {
        return PathBuf::from("/run/wpanlab");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir).join("wpanlab"),
        None => PathBuf::from(format!("/tmp/wpanlab-{}", geteuid())),
    }
}

/// What a living run owns. [`Claim::close_with`] removes everything; a claim
/// that is dropped stays on disk for `wpanlab clean`, as after a kill.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    journal: File,
    objects: Vec<Object>,
    _lock: Flock<File>,
}

impl Claim {
    /// A new claim under `root`, its directory named `LABEL-PID` with a number behind it
    /// where that is taken.
    ///
    /// # Errors
    /// When the directory, its lock or its journal cannot be made.
    pub fn new(root: &Path, label: &str) -> Result<Claim, CustodyError> {
        let private = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
        fs::create_dir_all(root).map_err(CustodyError::io("create", root))?;
        let base = format!("{label}-{}", std::process::id());
        let mut dir = root.join(&base);
        let mut attempt = 1;
        while let Err(error) = private(&dir) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(CustodyError::io("create", &dir)(error));
            }
            attempt += 1;
            dir = root.join(format!("{base}.{attempt}"));
        }
        // The journal comes first: a directory without a lock counts as being made.
        let path = dir.join(JOURNAL);
        let journal = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(CustodyError::io("create", &path))?;
        // It gets its name when it is locked, so that no cleaner can be faster.
        let path = dir.join("lock.new");
        let file = File::create(&path).map_err(CustodyError::io("create", &path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| CustodyError::io("lock", &path)(errno.into()))?;
        fs::rename(&path, dir.join(LOCK)).map_err(CustodyError::io("rename", &path))?;
        Ok(Claim {
            dir,
            journal,
            objects: Vec::new(),
            _lock: lock,
        })
    }

    /// The claim's own directory, a fine place for what must go with the run.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Says that it is for the run in `directory`, by which [`living`] finds it.
    ///
    /// # Errors
    /// When the directory is not there, or the claim cannot be written.
    pub fn is_for(&self, directory: &Path) -> Result<(), CustodyError> {
        let directory = directory
            .canonicalize()
            .map_err(CustodyError::io("find", directory))?;
        let path = self.dir.join(PURPOSE);
        fs::write(&path, directory.as_os_str().as_bytes()).map_err(CustodyError::io("write", &path))
    }

    /// Records that the run owns `object`. Call it before the object is made where its name
    /// is known, at once after it where it is not.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn own(&mut self, object: Object) -> Result<(), CustodyError> {
        let mut line = serde_json::to_string(&object)
            .map_err(|e| CustodyError::io("write", self.dir.join(JOURNAL))(io::Error::other(e)))?;
        line.push('\n');
        self.journal
            .write_all(line.as_bytes())
            .map_err(CustodyError::io("write", self.dir.join(JOURNAL)))?;
        self.objects.push(object);
        Ok(())
    }

    /// Writes down that the run owns a radio, for a child process that made it: by one system call,
    /// and without memory of its own. The claim lives as long as the child does. The owner then takes
    /// the radio with [`Claim::adopt_radio`].
    pub fn write_radio(&self, id: u32) {
        let mut line = [0; 64];
        let mut rest = &mut line[..];
        // It fits.
        let _ = writeln!(rest, "{{\"object\":\"radio\",\"id\":{id}}}");
        let left = rest.len();
        // Whoever could be told is the owner, who finds no line in the journal and has the number.
        let _ = (&self.journal).write_all(&line[..line.len() - left]);
    }

    /// The run owns radio `id`, which a child process has written down.
    pub fn adopt_radio(&mut self, id: u32) {
        self.objects.push(Object::Radio { id });
    }

    /// Removes everything that was made without radios.
    ///
    /// # Errors
    /// All that could not be removed; every removal is tried.
    pub fn close(self) -> Result<(), CustodyError> {
        self.close_with(&mut RemoveNoRadios)
    }

    /// Removes everything, newest first, then the claim itself.
    ///
    /// # Errors
    /// All that could not be removed; every removal is tried, and the claim then stays for
    /// `wpanlab clean`.
    pub fn close_with(mut self, remover: &mut dyn Remover) -> Result<(), CustodyError> {
        remove_all(&self.dir, std::mem::take(&mut self.objects), remover)
    }
}

/// A claim whose owner is gone.
#[derive(Debug)]
pub struct Abandoned {
    dir: PathBuf,
    objects: Vec<Object>,
    _lock: Option<Flock<File>>,
}

impl Abandoned {
    /// The claim's name.
    pub fn name(&self) -> String {
        self.dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// What it owned, in the order in which it was made.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Removes everything, newest first, then the claim itself.
    ///
    /// # Errors
    /// All that could not be removed; every removal is tried.
    pub fn remove(self, remover: &mut dyn Remover) -> Result<(), CustodyError> {
        remove_all(&self.dir, self.objects, remover)
    }
}

fn remove_all(
    dir: &Path,
    objects: Vec<Object>,
    remover: &mut dyn Remover,
) -> Result<(), CustodyError> {
    let mut failed: Vec<CustodyError> = Vec::new();
    for object in objects.iter().rev() {
        if let Err(reason) = object.remove(remover) {
            failed.push(CustodyError::Remove {
                object: object.to_string(),
                reason,
            });
        }
    }
    if failed.is_empty() {
        fs::remove_dir_all(dir).map_err(CustodyError::io("remove", dir))
    } else if failed.len() == 1 {
        Err(failed.remove(0))
    } else {
        Err(CustodyError::Several(failed))
    }
}

/// The directory of the claim under `root` that a living owner has made [for](Claim::is_for) the run in `directory`, if there is one.
///
/// # Errors
/// When `root` or `directory` cannot be read.
pub fn living(root: &Path, directory: &Path) -> Result<Option<PathBuf>, CustodyError> {
    let directory = directory
        .canonicalize()
        .map_err(CustodyError::io("find", directory))?;
    for dir in directories(root)? {
        let is_for = fs::read(dir.join(PURPOSE))
            .is_ok_and(|purpose| purpose == directory.as_os_str().as_bytes());
        if is_for && lock_if_abandoned(&dir)?.is_none() {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

/// The claims under `root` whose owners are gone, by name. They are locked while the list
/// lives, so that two cleaners do not meet.
///
/// # Errors
/// When the directory or a journal cannot be read.
pub fn abandoned(root: &Path) -> Result<Vec<Abandoned>, CustodyError> {
    let mut found = Vec::new();
    for dir in directories(root)? {
        let journal = dir.join(JOURNAL);
        if !journal.exists() {
            // Not a claim of ours, unless its owner died when it had just made the directory.
            if is_nothing_yet(&dir) {
                found.push(Abandoned {
                    dir,
                    objects: Vec::new(),
                    _lock: None,
                });
            }
            continue;
        }
        let Some(lock) = lock_if_abandoned(&dir)? else {
            continue;
        };
        let Some(objects) = read_journal(&journal)? else {
            continue; // its owner has just closed it
        };
        found.push(Abandoned {
            dir,
            objects,
            _lock: lock,
        });
    }
    found.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(found)
}

/// What is in `root`; nothing if that is not there.
fn directories(root: &Path) -> Result<Vec<PathBuf>, CustodyError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CustodyError::io("read", root)(error)),
    };
    let paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>();
    paths.map_err(CustodyError::io("read", root))
}

/// `None`: its owner lives. `Some(None)`: it died before it made its lock.
fn lock_if_abandoned(dir: &Path) -> Result<Option<Option<Flock<File>>>, CustodyError> {
    let path = dir.join(LOCK);
    match File::open(&path) {
        Ok(file) => Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .ok()
            .map(Some)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(if owner(dir).is_some_and(is_running) {
                None
            } else {
                Some(None)
            })
        }
        Err(error) => Err(CustodyError::io("open", &path)(error)),
    }
}

/// The process that made a claim's directory, by its name.
fn owner(dir: &Path) -> Option<i32> {
    let name = dir.to_string_lossy();
    let (_, rest) = name.rsplit_once('-')?;
    rest.split('.').next()?.parse().ok()
}

/// Whether a directory is empty and its owner, whom its name tells, is gone.
fn is_nothing_yet(dir: &Path) -> bool {
    let is_empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    is_empty && owner(dir).is_some_and(|pid| !is_running(pid))
}

/// Reads the journal, if there is one; a last line cut short by the owner's death is left out.
fn read_journal(path: &Path) -> Result<Option<Vec<Object>>, CustodyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CustodyError::io("open", path)(error)),
    };
    let lines = BufReader::new(file).lines();
    let lines: Vec<String> = lines
        .collect::<Result<_, _>>()
        .map_err(CustodyError::io("read", path))?;
    let last = lines.len().saturating_sub(1);
    let mut objects = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(object) => objects.push(object),
            Err(_) if number == last => {}
            Err(error) => return Err(CustodyError::io("read", path)(io::Error::other(error))),
        }
    }
    Ok(Some(objects))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    struct Radios(Vec<u32>);
    impl Remover for Radios {
        fn remove_radio(&mut self, id: u32) -> Result<(), String> {
            self.0.push(id);
            if id == 13 { Err("busy".into()) } else { Ok(()) }
        }
    }

    /// A claim as a killed owner leaves it: journal on disk, lock free.
    fn kill_owner(mut claim: Claim, objects: &[Object]) {
        for object in objects {
            claim.own(object.clone()).unwrap();
        }
        drop(claim);
    }

    #[test]
    fn a_living_claim_is_not_abandoned_and_a_dead_one_is() {
        let root = tempfile::tempdir().unwrap();
        let living = Claim::new(root.path(), "living").unwrap();
        kill_owner(
            Claim::new(root.path(), "dead").unwrap(),
            &[Object::Radio { id: 7 }],
        );
        let found = abandoned(root.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].name().starts_with("dead-"));
        assert_eq!(found[0].objects(), [Object::Radio { id: 7 }]);
        drop(living);
    }

    #[test]
    fn a_claim_is_found_by_what_it_is_for_while_its_owner_lives() {
        let root = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| root.path().join(name));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&other).unwrap();
        let state = root.path().join("state");
        assert_eq!(living(&state, &one).unwrap(), None);
        let claim = Claim::new(&state, "a").unwrap();
        claim.is_for(&one).unwrap();
        let found = living(&state, &root.path().join("other/../one"));
        assert_eq!(found.unwrap().as_deref(), Some(claim.dir()));
        assert_eq!(living(&state, &other).unwrap(), None);
        assert!(living(&state, &root.path().join("nowhere")).is_err());
        kill_owner(claim, &[]);
        assert_eq!(living(&state, &one).unwrap(), None);
    }

    #[test]
    fn removal_goes_on_after_a_failure_and_keeps_the_claim() {
        let root = tempfile::tempdir().unwrap();
        let scratch = root.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let objects = [
            Object::Path {
                path: scratch.clone(),
            },
            Object::Radio { id: 13 },
            Object::Radio { id: 2 },
        ];
        kill_owner(Claim::new(root.path(), "dead").unwrap(), &objects);
        let mut radios = Radios(Vec::new());
        let error = abandoned(root.path())
            .unwrap()
            .remove(0)
            .remove(&mut radios)
            .unwrap_err();
        assert_eq!(error.to_string(), "remove radio 13: busy");
        assert_eq!(radios.0, [2, 13], "newest first");
        assert!(!scratch.exists());
        assert_eq!(abandoned(root.path()).unwrap().len(), 1);
    }

    #[test]
    fn only_the_recorded_process_is_killed() {
        let root = tempfile::tempdir().unwrap();
        let spawn = || Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (mut ours, mut other) = (spawn(), spawn());
        let recycled = Object::Process {
            pid: other.id() as i32,
            started: 1,
        };
        let objects = [Object::process(ours.id()).unwrap(), recycled];
        kill_owner(Claim::new(root.path(), "dead").unwrap(), &objects);
        abandoned(root.path())
            .unwrap()
            .remove(0)
            .remove(&mut RemoveNoRadios)
            .unwrap();
        assert!(!ours.wait().unwrap().success());
        assert!(
            other.try_wait().unwrap().is_none(),
            "a process with a recycled number lives"
        );
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_line_cut_short_by_death_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let claim = Claim::new(root.path(), "dead").unwrap();
        let journal = claim.dir().join(JOURNAL);
        kill_owner(claim, &[Object::Radio { id: 1 }]);
        OpenOptions::new()
            .append(true)
            .open(&journal)
            .unwrap()
            .write_all(b"{\"obj")
            .unwrap();
        assert_eq!(
            abandoned(root.path()).unwrap()[0].objects(),
            [Object::Radio { id: 1 }]
        );
    }

    #[test]
    fn a_radio_that_a_child_wrote_down_is_owned_like_any_other() {
        let root = tempfile::tempdir().unwrap();
        let mut claim = Claim::new(root.path(), "dead").unwrap();
        for id in [7, u32::MAX] {
            claim.write_radio(id);
            claim.adopt_radio(id);
        }
        let owned = claim.objects.clone();
        drop(claim);
        assert_eq!(abandoned(root.path()).unwrap()[0].objects(), owned);
    }

    #[test]
    fn an_owner_that_died_when_it_had_just_made_its_directory_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mut gone = Command::new("true").spawn().unwrap();
        let dir = root.path().join(format!("dead-{}.2", gone.id()));
        gone.wait().unwrap();
        fs::create_dir(&dir).unwrap();
        fs::create_dir(root.path().join("alive-1")).unwrap();
        let [one] = <[Abandoned; 1]>::try_from(abandoned(root.path()).unwrap()).unwrap();
        one.remove(&mut RemoveNoRadios).unwrap();
        assert!(!dir.exists() && root.path().join("alive-1").exists());
        // What has something in it is somebody's.
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("mine"), "x").unwrap();
        assert!(abandoned(root.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_claim_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("someone-1")).unwrap();
        assert!(abandoned(root.path()).unwrap().is_empty());
    }
}
