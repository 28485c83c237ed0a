//! A node that notes what it is told, for tests.

use coap::link::Link;
use coap::{Code, ExchangeId, Observation, Reliability, Request, Response};
use units::SimTime;

use crate::node::{CallId, Incoming, Node, Target};

/// What a node was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Ask(CallId, Target, Reliability, Request),
    Observe(CallId, Target, Reliability, Request),
    StopObserving(CallId),
    Respond(ExchangeId, Response),
    RespondObserved(ExchangeId, Response),
    Notify(String, Response),
    NotifyOne(ExchangeId, Response),
}

#[derive(Debug, Default)]
pub(crate) struct Stub {
    pub(crate) told: Vec<Told>,
    calls: u64,
}

impl Stub {
    fn call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    /// What it was told since the last call.
    pub(crate) fn take(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// The calls that it was told to make since the last call.
    pub(crate) fn calls(&mut self) -> Vec<CallId> {
        let call = |told| match told {
            Told::Ask(call, ..) | Told::Observe(call, ..) => Some(call),
            _ => None,
        };
        self.take().into_iter().filter_map(call).collect()
    }
}

/// A confirmable request of a stranger's.
pub(crate) fn incoming(exchange: ExchangeId, request: Request) -> Incoming {
    Incoming {
        exchange,
        from: "[2001:db8::9]:5683".parse().expect("an address"),
        context: None,
        confirmable: true,
        request,
    }
}

/// An exchange to answer: of an endpoint that is asked once, since nobody else makes one.
pub(crate) fn exchange() -> ExchangeId {
    use machine::Machine as _;
    use units::Seed;
    let rng = |name| Seed(1).rng(&[name]);
    let endpoint = |name| coap::Endpoint::new(coap::Params::default(), &[], rng(name));
    let (mut client, mut server) = (endpoint("client"), endpoint("server"));
    let address = "[2001:db8::9]:5683".parse().expect("an address");
    let get = Request::new(Code::GET, "/");
    client.request(SimTime::ZERO, address, Reliability::Confirmable, get);
    let sent = client.poll_transmit().expect("a request");
    let Ok(()) = server.handle_datagram(SimTime::ZERO, address, &sent.payload);
    match server.poll_event() {
        Some(coap::Event::Request { exchange, .. }) => exchange,
        other => panic!("{other:?}"),
    }
}

impl Node for Stub {
    fn ask(
        &mut self,
        _: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        let call = self.call();
        self.told
            .push(Told::Ask(call, target, reliability, request));
        call
    }

    fn observe(
        &mut self,
        _: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        let call = self.call();
        let told = Told::Observe(call, target, reliability, request);
        self.told.push(told);
        call
    }

    fn stop_observing(&mut self, _: SimTime, call: CallId) {
        self.told.push(Told::StopObserving(call));
    }

    fn respond(&mut self, _: SimTime, exchange: ExchangeId, response: Response) {
        self.told.push(Told::Respond(exchange, response));
    }

    fn respond_observed(&mut self, _: SimTime, exchange: ExchangeId, response: Response) {
        self.told.push(Told::RespondObserved(exchange, response));
    }

    fn notify(&mut self, _: SimTime, path: &str, state: &Response) {
        self.told.push(Told::Notify(path.to_owned(), state.clone()));
    }

    fn notify_one(&mut self, _: SimTime, observation: ExchangeId, state: &Response) {
        self.told.push(Told::NotifyOne(observation, state.clone()));
    }

    fn observations(&self) -> Vec<Observation<'_>> {
        Vec::new()
    }

    fn links(&self) -> Vec<Link> {
        vec![Link::new("/node")]
    }

    fn waits(&self) -> coap::Waits {
        coap::Waits::default()
    }
}
