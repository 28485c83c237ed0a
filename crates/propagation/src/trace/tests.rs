use super::*;

const CORRIDOR: &str = include_str!("../../tests/data/corridor.csv");

fn loss(trace: &Trace, seconds: f64) -> f64 {
    trace.loss(Duration::from_secs_f64(seconds)).0
}

fn error(text: &str) -> String {
    Trace::parse(text).unwrap_err().to_string()
}

#[test]
fn a_trace_goes_linearly_from_point_to_point_and_holds_its_ends() {
    let trace = Trace::parse(CORRIDOR).unwrap();
    assert_eq!(trace.points().len(), 5);
    assert_eq!(loss(&trace, 0.0), 52.5, "before the first point");
    assert_eq!(loss(&trace, 1.0), 52.5);
    assert_eq!(loss(&trace, 1.5), 56.25);
    assert_eq!(loss(&trace, 4.0), 85.0, "halfway from 75 dB to 95 dB");
    assert_eq!(loss(&trace, 99.0), 95.0, "after the last");
}

#[test]
fn two_points_at_one_instant_are_a_step() {
    let trace = Trace::parse(CORRIDOR).unwrap();
    let door = Duration::from_secs(2);
    assert_eq!(trace.loss(door), Db(75.0));
    let before = trace.loss(door - Duration::from_micros(1)).0;
    assert!((before - 60.0).abs() < 1e-4, "{before}");
}

#[test]
fn an_error_has_its_line() {
    assert_eq!(
        error("0,1\n\n1;2\n"),
        "line 3: `1;2` is not a point; write `seconds,dB`, such as `1.5,60`"
    );
    assert_eq!(
        error("# a\n0,1,2\n"),
        "line 2: `0,1,2` is not a point; write `seconds,dB`, such as `1.5,60`"
    );
    assert_eq!(
        error("x,1"),
        "line 1: `x` is not a time in seconds from 0 to 1000000000"
    );
    assert_eq!(
        error("-1,1"),
        "line 1: `-1` is not a time in seconds from 0 to 1000000000"
    );
    assert_eq!(
        error("1,nan"),
        "line 1: `nan` is not a loss from 0 to 1000 dB"
    );
    assert_eq!(
        error("1,-3"),
        "line 1: `-3` is not a loss from 0 to 1000 dB"
    );
    assert_eq!(
        error("2,1\n1,1"),
        "line 2: this time is before that of the point above"
    );
    assert_eq!(
        error("time_s,loss_db\n"),
        "line 1: there is no point; write `seconds,dB`, such as `1.5,60`"
    );
    assert_eq!(
        error("0,1\ntime_s,loss_db\n"),
        "line 2: `time_s` is not a time in seconds from 0 to 1000000000"
    );
    assert!(error("").starts_with("line 1: there is no point"));
}

#[test]
fn points_out_of_order_are_no_trace() {
    let point = |seconds| TracePoint {
        at: Duration::from_secs(seconds),
        loss: Db(1.0),
    };
    assert_eq!(Trace::new(vec![]), Err(TraceError));
    assert_eq!(Trace::new(vec![point(2), point(1)]), Err(TraceError));
    assert!(Trace::new(vec![point(1), point(1)]).is_ok());
}
