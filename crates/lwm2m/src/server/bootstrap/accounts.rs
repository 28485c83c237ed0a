//! [`accounts`]: what a bootstrap server writes to bring a client its servers.

use std::sync::Arc;

use crate::access::{self, ACCESS_CONTROL, SECURITY, SERVER};
use crate::client::{Account, Client};
use crate::format::Record;
use crate::model::Registry;
use crate::operations::Mode;
use crate::path::Path;
use crate::server::Operation;
use crate::store::StoreError;

/// Bootstrap-Writes that bring a client `accounts`: of Security and Server, and of Access Control if there are several, an
/// object in a message each. The client has then what it would have if it had begun with these accounts: of several servers
/// each owns its own, and all share `instances` and Device ([`Client::share`]). `objects`: those of which it may have
/// instances, beside Security, Server and Device.
///
/// Security instances begin at 1, since 0 is the account of the bootstrap server ([`Client::add_bootstrap_server`]).
///
/// # Errors
/// When the registry has not these objects, or the objects cannot have these instances.
pub fn accounts(
    registry: Arc<Registry>,
    accounts: &[Account],
    objects: &[u16],
    instances: &[Path],
) -> Result<Vec<Operation>, StoreError> {
    let mut store = Client::tree(registry, accounts, objects)?;
    let mut begun = store.transaction();
    for instance in instances {
        if !begun.store().contains(instance) {
            begun.create(*instance)?;
        }
    }
    begun.commit();
    let written = |object| store.records(Path::object(object), |_, _| true);
    let security = written(SECURITY)
        .into_iter()
        .map(after_the_bootstrap_servers);
    let shared = access::shared(&store).into_iter();
    let control = shared.flat_map(|(_, values)| values);
    let control = control.map(|(path, value)| Record::new(path, value));
    let all = [
        (SECURITY, security.collect()),
        (SERVER, written(SERVER)),
        (ACCESS_CONTROL, control.collect::<Vec<Record>>()),
    ];
    let all = all.into_iter().filter(|(_, records)| !records.is_empty());
    let write = |(object, records)| Operation::Write {
        path: Path::object(object),
        mode: Mode::Replace,
        records,
        format: None,
    };
    Ok(all.map(write).collect())
}

/// The record one instance on.
fn after_the_bootstrap_servers(record: Record) -> Record {
    let mut ids = record.path.ids().to_vec();
    if let Some(instance) = ids.get_mut(1) {
        *instance = instance.saturating_add(1);
    }
    let path = Path::new(&ids).unwrap_or(record.path);
    Record { path, ..record }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddrV6};
    use std::time::Duration;

    use units::Seed;

    use super::*;
    use crate::client::Config;
    use crate::format::{self, Format, Style};
    use crate::operations::{Change, Requester};
    use crate::store::Store;
    use crate::{Value, account};

    const OBJECTS: [u16; 3] = [2, 2346, 3303];

    fn at(host: u16) -> SocketAddrV6 {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host);
        SocketAddrV6::new(ip, 5683, 0, 0)
    }

    fn of(servers: u16) -> Vec<Account> {
        let account = |server| Account {
            server,
            address: at(server),
            lifetime: Duration::from_secs(60),
            pmin: None,
            pmax: Some(Duration::from_secs(9)),
        };
        (1..=servers).map(account).collect()
    }

    fn registry() -> Arc<Registry> {
        Arc::new(Registry::built_in())
    }

    /// A client with a temperature that begins with these accounts.
    fn client(accounts: &[Account]) -> Client {
        let tree = Client::tree(registry(), accounts, &OBJECTS).unwrap();
        let mut client = Client::new(Config::new("a"), tree, Seed(1).rng(&["client"]), false);
        let value = (Path::resource(3303, 0, 5700), Value::Float(21.5));
        client.add(Path::instance(3303, 0), &[value]).unwrap();
        client
    }

    /// What a client without a server has after the bootstrap in this format.
    fn bootstrapped(servers: u16, format: Format) -> Store {
        let mut client = client(&[]);
        let hold_off = Duration::from_secs(5);
        client.add_bootstrap_server(at(9), hold_off).unwrap();
        let server = account::bootstrap_server(client.store()).unwrap();
        assert_eq!((server.address, server.hold_off), (at(9), hold_off));
        let mut draft = client.store().clone();
        let instances = [Path::instance(3303, 0)];
        let all = accounts(registry(), &of(servers), &OBJECTS, &instances);
        for operation in all.unwrap() {
            let Operation::Write { path, records, .. } = operation else {
                panic!("{operation}");
            };
            let payload = format::encode(format, &path, &records, Style::default()).unwrap();
            let records = format::decode(format, &path, &payload, draft.registry()).unwrap();
            Change::new(&mut draft, Requester::Bootstrap)
                .bootstrap_write(path, &records)
                .unwrap();
        }
        account::check(&draft).unwrap();
        draft
    }

    #[test]
    fn a_bootstrapped_client_has_what_one_has_that_began_with_its_servers() {
        for (servers, format) in [
            (1, Format::Tlv),
            (3, Format::Tlv),
            (3, Format::SenmlCbor),
            (3, Format::SenmlJson),
        ] {
            let mut direct = client(&of(servers));
            direct.share().unwrap();
            let (direct, by_bootstrap) = (direct.store(), bootstrapped(servers, format));
            for object in [1, 2, 3, 3303] {
                let records = |store: &Store| store.records(Path::object(object), |_, _| true);
                assert_eq!(records(&by_bootstrap), records(direct), "{object}");
            }
            assert_eq!(account::servers(&by_bootstrap), account::servers(direct));
        }
    }

    #[test]
    fn an_object_that_nobody_knows_is_an_error() {
        let unknown = [Path::instance(9999, 0)];
        assert!(accounts(registry(), &of(1), &OBJECTS, &unknown).is_err());
    }
}
