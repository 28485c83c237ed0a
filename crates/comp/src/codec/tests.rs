//! What goes over the wire, and every answer to what should not.
//!
//! The golden bytes are option values and headers written out by hand from RFC 7252 §3.1
//! (delta 14: two more bytes, minus 269) and the table of options; the whole messages are in
//! `tests/wire.rs`.

use proptest::prelude::*;

use super::*;

const P: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 5);
const T: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 5);

fn options_of(options: &Options) -> Vec<(u16, Vec<u8>)> {
    options.iter().map(|(n, v)| (n, v.to_vec())).collect()
}

/// A method, options, and the diagnostic that they get.
type Wrong<'a> = (Code, &'a [(u16, &'a [u8])], &'a str);

/// A request for `/comp` with `options`.
fn request(method: Code, options: &[(u16, &[u8])]) -> Request {
    let mut request = Request::new(method, PATH);
    for (number, value) in options {
        request.options.push(*number, *value);
    }
    request
}

fn refusal(method: Code, options: &[(u16, &[u8])]) -> (Code, String) {
    let response = Command::parse(&request(method, options))
        .expect_err("the request is wrong")
        .response();
    (response.code, String::from_utf8(response.payload).unwrap())
}

#[test]
fn every_row_of_the_table_carries_its_options_and_no_others() {
    let path = || (11, b"comp".to_vec());
    let p = || (2049, P.octets().to_vec());
    let t = || (2050, T.octets().to_vec());
    let lifetime = Lifetime(600);
    let rows = [
        (
            Command::Discovery { p_addr: P },
            Code::GET,
            // uint 0 is the empty value (RFC 7252 §3.2).
            vec![path(), (2048, vec![]), p()],
        ),
        (
            Command::BindingUpdate {
                p_addr: P,
                t_addr: T,
                lifetime,
            },
            Code::PUT,
            vec![
                path(),
                (2048, vec![1]),
                p(),
                t(),
                (2051, vec![0x02, 0x58]),
                (2053, vec![]),
            ],
        ),
        (
            Command::Registration {
                p_addr: P,
                t_addr: T,
                lifetime,
            },
            Code::POST,
            vec![path(), (2048, vec![2]), p(), t(), (2051, vec![0x02, 0x58])],
        ),
        (
            Command::Deregistration { p_addr: P },
            Code::DELETE,
            vec![path(), (2048, vec![3]), p()],
        ),
        (
            Command::Hold {
                p_addr: P,
                sleep: None,
            },
            Code::PUT,
            vec![path(), (2048, vec![4]), p(), (2053, vec![1])],
        ),
        (
            Command::Hold {
                p_addr: P,
                sleep: Some(Duration::from_millis(1500)),
            },
            Code::PUT,
            vec![
                path(),
                (2048, vec![4]),
                p(),
                (2053, vec![1]),
                (2054, vec![0x05, 0xdc]),
            ],
        ),
    ];
    for (command, method, options) in rows {
        let request = command.request();
        assert_eq!(request.method, method, "{command:?}");
        assert_eq!(options_of(&request.options), options, "{command:?}");
        assert!(request.payload.is_empty());
        assert_eq!(Command::parse(&request), Ok(command));
    }
}

#[test]
fn the_answers_carry_what_the_table_says() {
    let location = Location {
        p_addr: P,
        t_addr: T,
        lifetime: Lifetime(600),
        held: true,
        sleep: None,
        sequence: None,
    };
    let response = location.response();
    assert_eq!(response.code, Code::CONTENT);
    assert_eq!(
        options_of(&response.options),
        [
            (2049, P.octets().to_vec()),
            (2050, T.octets().to_vec()),
            (2051, vec![0x02, 0x58]),
            (2053, vec![1])
        ]
    );
    assert_eq!(Location::parse(&response), Ok(location));

    let response = hold_response(0x1234);
    assert_eq!(response.code, Code::CHANGED);
    assert_eq!(options_of(&response.options), [(2052, vec![0x12, 0x34])]);
    assert_eq!(parse_hold_response(&response), Ok(0x1234));
}

#[test]
fn a_missing_option_is_named() {
    let (p, t) = (P.octets(), T.octets());
    let cases: [Wrong; 9] = [
        (
            Code::GET,
            &[(2049, &p)],
            "option 2048 (Message type) is missing",
        ),
        (
            Code::GET,
            &[(2048, &[])],
            "option 2049 (Permanent address) is missing",
        ),
        (
            Code::DELETE,
            &[(2048, &[3])],
            "option 2049 (Permanent address) is missing",
        ),
        (
            Code::POST,
            &[(2048, &[2]), (2049, &p), (2051, &[9])],
            "option 2050 (Temporary address) is missing",
        ),
        (
            Code::POST,
            &[(2048, &[2]), (2049, &p), (2050, &t)],
            "option 2051 (Lifetime) is missing",
        ),
        (
            Code::PUT,
            &[(2048, &[1]), (2049, &p), (2051, &[9]), (2053, &[])],
            "option 2050 (Temporary address) is missing",
        ),
        (
            Code::PUT,
            &[(2048, &[1]), (2049, &p), (2050, &t), (2053, &[])],
            "option 2051 (Lifetime) is missing",
        ),
        (
            Code::PUT,
            &[(2048, &[1]), (2049, &p), (2050, &t), (2051, &[9])],
            "option 2053 (Hold flag) is missing",
        ),
        (
            Code::PUT,
            &[(2048, &[4]), (2049, &p)],
            "option 2053 (Hold flag) is missing",
        ),
    ];
    for (method, options, diagnostic) in cases {
        assert_eq!(
            refusal(method, options),
            (Code::BAD_REQUEST, diagnostic.to_owned())
        );
    }
}

#[test]
fn an_option_of_a_wrong_length_is_named_wherever_it_appears() {
    let cases: [(u16, &[u8], &str); 9] = [
        (
            2048,
            &[0, 0],
            "option 2048 (Message type) has 2 bytes, expected 0 or 1",
        ),
        (
            2049,
            &[1; 15],
            "option 2049 (Permanent address) has 15 bytes, expected 16",
        ),
        (
            2049,
            &[1; 17],
            "option 2049 (Permanent address) has 17 bytes, expected 16",
        ),
        (
            2049,
            &[192, 0, 2, 1],
            "option 2049 (Permanent address) has 4 bytes, expected 16",
        ),
        (
            2050,
            &[],
            "option 2050 (Temporary address) has 0 bytes, expected 16",
        ),
        (
            2051,
            &[0, 0, 1],
            "option 2051 (Lifetime) has 3 bytes, expected 0 to 2",
        ),
        (
            2052,
            &[1, 2, 3],
            "option 2052 (Sequence number) has 3 bytes, expected 0 to 2",
        ),
        (
            2053,
            &[0, 1],
            "option 2053 (Hold flag) has 2 bytes, expected 0 or 1",
        ),
        (
            2054,
            &[0; 5],
            "option 2054 (Sleep period) has 5 bytes, expected 0 to 4",
        ),
    ];
    for (number, value, diagnostic) in cases {
        assert_eq!(
            refusal(Code::GET, &[(number, value)]),
            (Code::BAD_REQUEST, diagnostic.to_owned())
        );
    }
}

#[test]
fn a_value_that_means_nothing_is_named() {
    let (p, t) = (P.octets(), T.octets());
    let multicast = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    let cases: [Wrong; 7] = [
        (
            Code::PUT,
            &[(2048, &[4]), (2049, &p), (2053, &[1]), (2054, &[255; 4])],
            "option 2054 (Sleep period) is 4294967295, expected at most 65535000 ms, the longest \
             lifetime",
        ),
        (
            Code::PUT,
            &[
                (2048, &[4]),
                (2049, &p),
                (2053, &[1]),
                (2054, &[3, 231, 252, 25]),
            ],
            "option 2054 (Sleep period) is 65535001, expected at most 65535000 ms, the longest \
             lifetime",
        ),
        (
            Code::GET,
            &[(2048, &[]), (2049, &[0; 16])],
            "option 2049 (Permanent address) is ::, expected a unicast address",
        ),
        (
            Code::POST,
            &[(2048, &[2]), (2049, &p), (2050, &multicast)],
            "option 2050 (Temporary address) is ff02::1, expected a unicast address",
        ),
        (
            Code::PUT,
            &[(2048, &[4]), (2049, &p), (2053, &[2])],
            "option 2053 (Hold flag) is 2, expected 0 or 1",
        ),
        (
            Code::PUT,
            &[(2048, &[4]), (2049, &p), (2053, &[0])],
            "option 2053 (Hold flag) is 0, expected 1 in a hold",
        ),
        (
            Code::PUT,
            &[
                (2048, &[1]),
                (2049, &p),
                (2050, &t),
                (2051, &[9]),
                (2053, &[1]),
            ],
            "option 2053 (Hold flag) is 1, expected 0 in a binding update",
        ),
    ];
    for (method, options, diagnostic) in cases {
        assert_eq!(
            refusal(method, options),
            (Code::BAD_REQUEST, diagnostic.to_owned())
        );
    }
}

#[test]
fn every_type_fits_exactly_one_method() {
    let p = P.octets();
    for method in [Code::GET, Code::POST, Code::PUT, Code::DELETE] {
        for number in 0..=5u8 {
            let fits = Procedure::ALL
                .iter()
                .any(|p| *p as u8 == number && p.method() == method);
            let answer = Command::parse(&request(
                method,
                &[
                    (2048, &[number]),
                    (2049, &p),
                    (2050, &T.octets()),
                    (2051, &[1]),
                    (2053, &[1]),
                ],
            ));
            let wrong_type = RequestError::Type {
                method,
                number: u64::from(number),
            };
            assert_eq!(
                answer == Err(wrong_type.clone()),
                !fits,
                "{method} {number}"
            );
            assert_eq!(wrong_type.code(), Code::BAD_REQUEST);
            assert!(
                wrong_type
                    .to_string()
                    .starts_with("option 2048 (Message type) is")
            );
        }
    }
}

#[test]
fn a_method_without_a_procedure_is_not_allowed() {
    const FETCH: Code = Code::new(0, 5);
    let (code, diagnostic) = refusal(FETCH, &[]);
    assert_eq!(code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(
        diagnostic,
        "method 0.05 has no procedure here: use GET, POST, PUT or DELETE"
    );
}

/// RFC 7252 §5.4.1: "Unrecognized options of class "critical" that occur in a Confirmable
/// request MUST cause the return of a 4.02 (Bad Option) response."
#[test]
fn an_unknown_critical_option_is_a_bad_option_and_an_elective_one_is_ignored() {
    let p = P.octets();
    let good: [(u16, &[u8]); 2] = [(2048, &[]), (2049, &p)];
    let with = |number| [good[0], good[1], (number, b"x".as_slice())];
    assert_eq!(
        refusal(Code::GET, &with(2055)),
        (
            Code::BAD_OPTION,
            "option 2055 is critical and not understood here, or given twice".into()
        )
    );
    assert!(Command::parse(&request(Code::GET, &with(2056))).is_ok());
}

/// RFC 7252 §5.4.5: a supernumerary option "MUST be treated like an unrecognized option".
#[test]
fn a_critical_option_given_twice_is_a_bad_option() {
    let (p, t) = (P.octets(), T.octets());
    let (code, _) = refusal(Code::GET, &[(2048, &[]), (2049, &p), (2049, &t)]);
    assert_eq!(code, Code::BAD_OPTION);
    // An elective one "MUST be silently ignored": the first counts.
    let twice = request(Code::GET, &[(2048, &[]), (2048, &[4]), (2049, &p)]);
    assert_eq!(Command::parse(&twice), Ok(Command::Discovery { p_addr: P }));
}

/// RFC 7252 §3.2: "A recipient MUST be prepared to process values with leading zero bytes."
#[test]
fn leading_zeros_of_a_uint_are_accepted() {
    let p = P.octets();
    let hold = request(
        Code::PUT,
        &[
            (2048, &[4]),
            (2049, &p),
            (2053, &[1]),
            (2054, &[0, 0, 0, 7]),
        ],
    );
    let sleep = Some(Duration::from_millis(7));
    assert_eq!(
        Command::parse(&hold),
        Ok(Command::Hold { p_addr: P, sleep })
    );
    let zero = request(Code::GET, &[(2048, &[0]), (2049, &p)]);
    assert_eq!(Command::parse(&zero), Ok(Command::Discovery { p_addr: P }));
}

#[test]
fn a_refusal_says_the_code_and_the_peers_words() {
    let refused = Response::diagnostic(Code::NOT_FOUND, "nobody by that address");
    let error = Location::parse(&refused).unwrap_err();
    assert_eq!(
        error.to_string(),
        "answered 4.04 instead of 2.05: nobody by that address"
    );
    let error = parse_hold_response(&Response::new(Code::CHANGED)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer's option 2052 (Sequence number) is missing"
    );
}

#[test]
fn a_lifetime_covers_the_fraction_of_its_last_second() {
    assert_eq!(Lifetime::covering(Duration::ZERO), Lifetime::ZERO);
    assert_eq!(Lifetime::covering(Duration::from_millis(1)), Lifetime(1));
    assert_eq!(Lifetime::covering(Duration::from_secs(600)), Lifetime(600));
    assert_eq!(
        Lifetime::covering(Duration::from_secs(70_000)),
        Lifetime(u16::MAX)
    );
}

#[test]
fn an_address_that_is_many_nodes_or_reached_from_nowhere_else_is_refused() {
    let refused = [
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:0.0.0.0",
        "::ffff:127.0.0.1",
        "::ffff:127.255.0.1",
        "::ffff:169.254.1.1",
        "::ffff:224.0.0.1",
        "::ffff:239.1.2.3",
        "::ffff:255.255.255.255",
    ];
    let register = |p_addr, t_addr| {
        let lifetime = Lifetime(600);
        let command = Command::Registration {
            p_addr,
            t_addr,
            lifetime,
        };
        Command::parse(&command.request())
    };
    for address in refused {
        let address = address.parse().unwrap();
        for (p_addr, t_addr) in [(P, address), (address, T)] {
            let error = register(p_addr, t_addr).unwrap_err();
            assert_eq!(error.code(), Code::BAD_REQUEST, "{address}");
        }
    }
    for address in [
        "2001:db8::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "::ffff:192.0.2.255",
    ] {
        let address = address.parse().unwrap();
        assert!(register(P, address).is_ok(), "{address}");
    }
}

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>()
        .prop_map(Ipv6Addr::from)
        .prop_filter("unicast", |a| !a.is_unspecified() && !a.is_multicast())
        .prop_filter("reached", |a| !a.is_unicast_link_local())
}

fn command() -> impl Strategy<Value = Command> {
    let lifetime = || any::<u16>().prop_map(Lifetime);
    let sleep = proptest::option::of((0..=65_535_000_u64).prop_map(Duration::from_millis));
    prop_oneof![
        unicast().prop_map(|p_addr| Command::Discovery { p_addr }),
        unicast().prop_map(|p_addr| Command::Deregistration { p_addr }),
        (unicast(), unicast(), lifetime()).prop_map(|(p_addr, t_addr, lifetime)| {
            Command::BindingUpdate {
                p_addr,
                t_addr,
                lifetime,
            }
        }),
        (unicast(), unicast(), lifetime()).prop_map(|(p_addr, t_addr, lifetime)| {
            Command::Registration {
                p_addr,
                t_addr,
                lifetime,
            }
        }),
        (unicast(), sleep).prop_map(|(p_addr, sleep)| Command::Hold { p_addr, sleep }),
    ]
}

proptest! {
    #[test]
    fn every_command_reads_back_from_its_request(command in command(), number: Option<u16>) {
        let request = command.numbered(number.map(Sequence));
        let parsed = Command::parse_numbered(&request).unwrap();
        prop_assert_eq!(parsed.1, number.map(Sequence));
        prop_assert_eq!(Command::parse(&request), Ok(command));
    }

    #[test]
    fn every_location_reads_back_from_its_response(
        p_addr in unicast(), t_addr in unicast(), lifetime: u16, held: bool,
        sleep in proptest::option::of(0..=65_535_000_u64),
        sequence: Option<u16>,
    ) {
        let sequence = sequence.map(Sequence);
        let sleep = sleep.map(Duration::from_millis);
        let location = Location { p_addr, t_addr, lifetime: Lifetime(lifetime), held, sleep, sequence };
        prop_assert_eq!(Location::parse(&location.response()), Ok(location));
    }

    #[test]
    fn what_parses_is_the_same_after_another_round_and_what_does_not_gets_an_answer(
        method in 1u8..8,
        options in proptest::collection::vec(
            (2046u16..2057, proptest::collection::vec(any::<u8>(), 0..18)), 0..9),
    ) {
        let mut request = Request::new(Code(method), PATH);
        for (number, value) in options {
            request.options.push(number, value);
        }
        match Command::parse(&request) {
            Ok(command) => prop_assert_eq!(Command::parse(&command.request()), Ok(command)),
            Err(error) => {
                prop_assert_eq!(error.response().code.class(), 4);
                prop_assert!(!error.response().payload.is_empty());
            }
        }
    }
}
