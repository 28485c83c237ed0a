//! What holds inside a guest.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};

fn the_testbeds_modules_are_loaded() {
    let modules = fs::read_to_string("/proc/modules").unwrap();
    for module in vm::modules::TESTBED {
        let line = format!("{module} ");
        assert!(modules.lines().any(|l| l.starts_with(&line)), "{module}");
    }
}

fn the_two_default_radios_exist() {
    let radios = fs::read_dir("/sys/class/ieee802154").unwrap().count();
    assert_eq!(radios, 2);
}

fn a_long_sleep_takes_exactly_its_time() {
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(100));
    let excess = start.elapsed() - Duration::from_secs(100);
    assert!(excess < Duration::from_millis(1), "{excess:?}");
}

fn the_wall_clock_starts_in_2020() {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let since_2020 = now - Duration::from_secs(1_577_836_800);
    assert!(since_2020 < Duration::from_secs(100 * 3600), "{now:?}");
}

fn the_loopback_link_works() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut text = String::new();
        TcpStream::connect(address)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    std::io::Write::write_all(&mut listener.accept().unwrap().0, b"hello").unwrap();
    assert_eq!(client.join().unwrap(), "hello");
}

fn random_numbers_do_not_wait() {
    let mut bytes = [0; 32];
    let start = Instant::now();
    fs::File::open("/dev/random")
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
    assert!(start.elapsed() < Duration::from_millis(1));
    assert_ne!(bytes, [0; 32]);
}

fn tests_run_in_processes_of_their_own() {
    assert_ne!(std::process::id(), 1);
    assert_eq!(std::os::unix::process::parent_id(), 1);
}

fn main() {
    vm::harness::main(&[
        (
            "the_testbeds_modules_are_loaded",
            the_testbeds_modules_are_loaded,
        ),
        ("the_two_default_radios_exist", the_two_default_radios_exist),
        (
            "a_long_sleep_takes_exactly_its_time",
            a_long_sleep_takes_exactly_its_time,
        ),
        (
            "the_wall_clock_starts_in_2020",
            the_wall_clock_starts_in_2020,
        ),
        ("the_loopback_link_works", the_loopback_link_works),
        ("random_numbers_do_not_wait", random_numbers_do_not_wait),
        (
            "tests_run_in_processes_of_their_own",
            tests_run_in_processes_of_their_own,
        ),
    ]);
}
