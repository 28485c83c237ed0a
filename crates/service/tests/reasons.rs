//! Every reason with which a call can fail is in the documentation.

use coap::Failure;
use service::CallFailure;

/// The failure after `failure` in the order of the enum; the compiler asks for a new one.
fn next(failure: &Failure) -> Option<Failure> {
    Some(match failure {
        Failure::Timeout => Failure::Reset,
        Failure::Reset => Failure::NoResponse,
        Failure::NoResponse => Failure::NotSent,
        Failure::NotSent => Failure::CriticalOption(9),
        Failure::CriticalOption(_) => Failure::Silent,
        Failure::Silent => Failure::BadBlock,
        Failure::BadBlock => Failure::BodyTooLarge,
        Failure::BodyTooLarge => Failure::BodyChanges,
        Failure::BodyChanges => Failure::Left,
        Failure::Left => Failure::Superseded,
        Failure::Superseded => Failure::Unprotectable,
        Failure::Unprotectable => Failure::Cancelled,
        Failure::Cancelled => return None,
    })
}

/// The same of calls.
fn next_call(failure: &CallFailure) -> Option<CallFailure> {
    Some(match failure {
        CallFailure::Exchange(last) => match next(last) {
            Some(failure) => CallFailure::Exchange(failure),
            None => CallFailure::HoldQueueFull,
        },
        CallFailure::HoldQueueFull => CallFailure::HoldTimeout,
        CallFailure::HoldTimeout => CallFailure::BacklogFull,
        CallFailure::BacklogFull => CallFailure::BacklogTimeout,
        CallFailure::BacklogTimeout => CallFailure::NodeUnknown,
        CallFailure::NodeUnknown => CallFailure::Discovery("5.03".into()),
        CallFailure::Discovery(_) => return None,
    })
}

#[test]
fn every_reason_is_in_the_documentation_of_results() {
    let page = include_str!("../../../docs/result.md");
    let table = page.split("| reason | sent |").nth(1).unwrap();
    let mut failure = Some(CallFailure::Exchange(Failure::Timeout));
    let mut count = 0;
    while let Some(one) = failure {
        let reason = one.to_string().replace("5.03", "…").replace('9', "N");
        let row = format!("\n| `{reason}` |");
        assert!(table.contains(&row), "{reason} is not in docs/result.md");
        count += 1;
        failure = next_call(&one);
    }
    assert_eq!(count, 19);
}
