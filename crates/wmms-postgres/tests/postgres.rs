//! Against a PostgreSQL: what is written is there, who is superseded writes nothing, and a server that dies is waited
//! for. Debian's `postgresql`, which `scripts/setup` installs; the server runs as long as its test.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use comp::Limits;
use comp::codec::Lifetime;
use comp::mmt::Mmt;
use tempfile::TempDir;
use units::SimTime;
use wmms_postgres::{Membership, Place, Postgres, PostgresError, Settings, Shard};
use wmms_store::{Store, Writer};

/// A server in a directory of its own, on a Unix socket; dropped, it ends.
struct Server {
    directory: TempDir,
    programs: PathBuf,
}

impl Server {
    fn start() -> Server {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Server {
            programs: programs(),
            directory,
        };
        server.run(
            "initdb",
            &["--auth=trust", "--username=wmms", "--no-sync", "-D", "data"],
        );
        server.launch();
        server
    }

    fn launch(&self) {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off",
            self.directory.path().display()
        );
        let start = ["start", "-w", "-D", "data", "-l", "log", "-o", &options];
        self.run("pg_ctl", &start);
    }

    /// As nobody: PostgreSQL wants no root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = match is_root() {
            true => {
                let mut other = Command::new("setpriv");
                other.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
                other.arg(self.programs.join(program));
                other
            }
            false => Command::new(self.programs.join(program)),
        };
        let ended = command
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        assert!(ended.success(), "{program} {arguments:?}: {ended}: {log}");
    }

    fn stop(&self) {
        self.run("pg_ctl", &["stop", "-m", "immediate", "-D", "data"]);
    }

    fn settings(&self) -> Settings {
        let text = format!(
            r#"{{"postgres": "host={} user=wmms dbname=postgres", "lease": "10 s",
                "instances": {{"a": "[2001:db8::a]:5683", "b": "[2001:db8::b]:5683"}}}}"#,
            self.directory.path().display()
        );
        Settings::from_json(&text, "a").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root() -> bool {
    // Who owns what this process makes is who it is.
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql");
    let mut found: Vec<PathBuf> = (versions.expect("PostgreSQL: run scripts/setup"))
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin: &PathBuf| Path::exists(&bin.join("initdb")))
        .collect();
    found.sort();
    found.pop().expect("initdb: install postgresql")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn clock() -> SimTime {
    SimTime::ZERO
}

/// Joins, and takes over all shards that are free.
async fn join(settings: &Settings, name: &str) -> (Membership, Mmt) {
    let mut membership = Membership::join(settings, name).await.unwrap();
    let view = membership.beat(clock).await.unwrap();
    let (_, entries) = membership.claim(&view.duty.claim, 0).await.unwrap();
    let mut table = Mmt::new(Limits::default());
    for (p_addr, entry) in entries {
        table.restore(p_addr, Some(entry));
    }
    (membership, table)
}

fn bind(table: &mut Mmt, node: u128, t_addr: u128) {
    let (p_addr, t_addr) = (Ipv6Addr::from(node), Ipv6Addr::from(t_addr));
    table.bind(SimTime::ZERO, p_addr, t_addr, Lifetime(600), t_addr);
}

fn store(settings: &Settings, membership: &Membership) -> Postgres {
    Postgres::new(settings, "a", membership.epochs()).unwrap()
}

#[test]
fn what_is_committed_is_there_in_the_next_life_and_what_was_removed_is_not() {
    let (server, runtime) = (Server::start(), runtime());
    let settings = server.settings();
    let (membership, mut table) = runtime.block_on(join(&settings, "a"));
    assert_eq!(membership.epochs().held(), Shard::all().collect());
    assert_eq!((membership.lives_before(), table.len()), (0, 0));
    let mut store = store(&settings, &membership);
    let mut writer = store.writer();
    let mut write = |table: &mut Mmt| {
        let changed = table.take_changes();
        writer.commit(store.group(table, &changed)).unwrap();
    };
    (0..500).for_each(|node| bind(&mut table, node, 1));
    write(&mut table);
    (0..10).for_each(|node| bind(&mut table, node, 2));
    table.remove(SimTime::ZERO, Ipv6Addr::from(499));
    write(&mut table);
    drop(membership);
    let (membership, restored) = runtime.block_on(join(&settings, "a"));
    assert_eq!(membership.lives_before(), 1);
    assert_eq!(restored.len(), 499);
    assert!(restored.iter().eq(table.iter()));
}

#[test]
fn who_is_superseded_writes_nothing_and_is_told() {
    let (server, runtime) = (Server::start(), runtime());
    let settings = server.settings();
    let (first, mut table) = runtime.block_on(join(&settings, "a"));
    let mut store = store(&settings, &first);
    let mut writer = store.writer();
    bind(&mut table, 1, 1);
    bind(&mut table, 2, 1);
    let changed = table.take_changes();
    writer.commit(store.group(&table, &changed)).unwrap();
    // Its beats are not heard any more: another life of its name takes everything over.
    drop(first);
    let (second, restored) = runtime.block_on(join(&settings, "a"));
    assert_eq!(restored.len(), 2);
    bind(&mut table, 1, 7);
    table.remove(SimTime::ZERO, Ipv6Addr::from(2));
    let changed = table.take_changes();
    let refused = writer.commit(store.group(&table, &changed));
    assert!(
        matches!(refused, Err(PostgresError::Superseded { .. })),
        "{refused:?}"
    );
    drop(second);
    let (_, found) = runtime.block_on(join(&settings, "a"));
    assert!(found.iter().eq(restored.iter()));
}

#[test]
fn a_server_that_dies_is_waited_for_and_everything_goes_on() {
    let (server, runtime) = (Server::start(), runtime());
    let settings = server.settings();
    let (membership, mut table) = runtime.block_on(join(&settings, "a"));
    let mut store = store(&settings, &membership);
    let server = Arc::new(server);
    let (asked, again) = (Arc::new(AtomicU32::new(0)), server.clone());
    let counted = asked.clone();
    store.have_patience(Box::new(move |_| {
        // The second time it is back.
        if counted.fetch_add(1, Ordering::Relaxed) == 1 {
            again.launch();
        }
        true
    }));
    let mut writer = store.writer();
    bind(&mut table, 1, 1);
    let changed = table.take_changes();
    writer.commit(store.group(&table, &changed)).unwrap();
    server.stop();
    bind(&mut table, 1, 2);
    let changed = table.take_changes();
    writer.commit(store.group(&table, &changed)).unwrap();
    assert!(asked.load(Ordering::Relaxed) >= 2);
    drop((writer, store, membership));
    let (_, found) = runtime.block_on(join(&settings, "a"));
    assert!(found.iter().eq(table.iter()));
}

#[test]
fn a_name_is_one_daemons_and_what_is_let_go_is_anothers() {
    let (server, runtime) = (Server::start(), runtime());
    let settings = server.settings();
    runtime.block_on(async {
        let (mut first, _) = join(&settings, "a").await;
        let taken = Membership::join(&settings, "a").await;
        assert!(
            matches!(taken, Err(PostgresError::InUse { .. })),
            "{taken:?}"
        );
        let mut second = Membership::join(&settings, "b").await.unwrap();
        assert_eq!(second.secret(), first.secret());
        let seen = second.beat(clock).await.unwrap();
        assert!(seen.duty.claim.is_empty(), "the first lives");
        let first_at = "[2001:db8::a]:5683".parse().unwrap();
        assert!(
            seen.places
                .iter()
                .all(|place| *place == Place::At(first_at))
        );
        first.beat(clock).await.unwrap();
        second.beat(clock).await.unwrap();
        let let_go = first.beat(clock).await.unwrap().duty.let_go;
        assert!(!let_go.is_empty(), "the second was seen to live");
        first.let_go(&let_go).await.unwrap();
        second.beat(clock).await.unwrap();
        let claim = second.beat(clock).await.unwrap().duty.claim;
        assert_eq!(claim, let_go);
        let (claimed, _) = second.claim(&claim, 0).await.unwrap();
        assert_eq!(claimed, let_go);
        let left: BTreeSet<Shard> = Shard::all().filter(|s| !let_go.contains(s)).collect();
        assert_eq!(first.epochs().held(), left);
        // Who has left is not waited for.
        second.leave().await.unwrap();
        first.beat(clock).await.unwrap();
        let claim = first.beat(clock).await.unwrap().duty.claim;
        assert_eq!(claim, let_go);
    });
}
