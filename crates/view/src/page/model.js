// What is known of the run, and of its nodes at the instant that is shown.

const model = {
  plan: null, // what does not change: /run
  result: null,
  handovers: [], // by the nodes' own account, with what clients saw of them
  moreHandovers: 0,
  extent: null, // how much there is: /extent
  nodes: bare({}), // what is known of each node: /state
  number: 0, // by so many events
  now: 0, // at this instant, nanoseconds after the first event
  selected: null, // name of a node
  log: [], // the last events, the latest last
};

const LOG = 30;

async function ask(path) {
  const answer = await fetch(path);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.reason);
  return value;
}

// The instant as the server has it: it has more digits than a number here.
function absolute(t) {
  return BigInt(model.extent.first_ns ?? 0) + BigInt(Math.round(t));
}

// Where the scenario starts, nanoseconds after the first event.
function start() {
  return model.extent.start_ns ?? 0;
}

function toSeconds(t) {
  return (t - start()) / 1e9;
}

function toInstant(seconds) {
  return start() + Math.round(seconds * 1e9);
}

// Where the axis of time ends: a run that goes on has a planned end.
function axisEnd() {
  const planned = model.extent.condition === "growing" ? start() + model.plan.duration_s * 1e9 : 0;
  return Math.max(model.extent.end_ns, planned, 1);
}

// How far what happens is known: a run that is held tells how far it is also when nothing happens.
function knownUntil() {
  const { end_ns, pace } = model.extent;
  return Math.max(end_ns, pace?.reached_ns ? start() + pace.reached_ns : 0);
}

function isEmpty(table) {
  for (const _ in table) return false;
  return true;
}

// A table of tables in which there is nothing but what is put into it: a reason may be called `constructor`.
function bare(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const copy = Object.create(null);
  for (const key of Object.keys(value)) copy[key] = bare(value[key]);
  return copy;
}

// One key of one node becomes another. What events mean the server knows.
function change(nodes, { node, key, of, set, add }) {
  const known = (nodes[node] ??= bare({}));
  const table = of === undefined ? known : (known[key] ??= bare({}));
  const entry = of ?? key;
  if (add !== undefined) table[entry] = (table[entry] ?? 0) + add;
  else if (set === null) delete table[entry];
  else table[entry] = set;
  if (table !== known && isEmpty(table)) delete known[key];
}

function take(happened) {
  for (const one of happened.changes) change(model.nodes, one);
  model.number = happened.n + 1;
  model.log.push(happened);
  if (model.log.length > 4 * LOG) model.log.splice(0, 3 * LOG);
}

function known(name) {
  return model.nodes[name] ?? {};
}

// The plan, and whom its addresses are of.
function setRun(run) {
  model.plan = run.plan;
  model.result = run.result;
  model.extent = run.extent;
  run.plan.nodes.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  model.moreHandovers = run.more_handovers;
  model.byName = new Map(run.plan.nodes.map(node => [node.name, node]));
  model.byAddress = new Map(run.plan.nodes.map(node => [node.address, node.name]));
  model.routers = run.plan.nodes.filter(node => node.place === "router").map(node => node.name);
  model.handovers = run.handovers.map(told => ({ ...told, seen: [] }));
  const own = new Map(model.handovers.map(told => [told.node + " " + told.number, told]));
  for (const seen of run.result?.handovers ?? []) own.get(seen.node + " " + seen.number)?.seen.push(seen);
  links.steps = -1;
}

function nameOf(address) {
  return model.byAddress.get(address) ?? address;
}

// The router of a node as far as it is known: `away` if it has left that one.
function attachment(node) {
  const state = known(node.name);
  const router = state.attached ?? node.attached;
  return { router: state.away ? state.from ?? router : router, away: Boolean(state.away) };
}

// Who is kept back by whom: names of those who keep it back, by the name of the node.
function onHold() {
  const held = new Map();
  for (const name in model.nodes) {
    for (const address in model.nodes[name].held ?? {}) {
      const node = nameOf(address);
      if (!held.has(node)) held.set(node, []);
      held.get(node).push(name);
    }
  }
  return held;
}

// Links and crashes as the steps that were carried out have left them.
const links = { steps: -1, of: new Map(), crashed: new Set() };

function linkKey(a, b) {
  return a < b ? a + " " + b : b + " " + a;
}

function currentLinks() {
  const steps = model.nodes.scenario?.steps ?? 0;
  if (links.steps === steps) return links;
  if (links.steps < 0 || links.steps > steps) {
    links.of = new Map(model.plan.links.map(link => [linkKey(link.a, link.b), { ...link, up: true }]));
    links.crashed = new Set();
    links.steps = 0;
  }
  for (const step of model.plan.steps.slice(links.steps, steps)) {
    if (step.do === "crash") links.crashed.add(step.node);
    if (step.do === "restart") links.crashed.delete(step.node);
    if (step.do !== "attenuate" && step.do !== "link") continue;
    const key = linkKey(step.a, step.b);
    if (!links.of.has(key)) links.of.set(key, { a: step.a, b: step.b, db: null, up: true });
    if (step.do === "link") links.of.get(key).up = step.up;
    else links.of.get(key).db = step.db;
  }
  links.steps = steps;
  return links;
}

// Where a node is, metres; null: it has no position. Between two points of its way it goes straight on.
function position(node, seconds) {
  const track = node.track;
  if (!track) return null;
  let low = 0, high = track.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (track[middle][0] <= seconds) low = middle;
    else high = middle - 1;
  }
  const [at, x, y] = track[low];
  const next = track[low + 1];
  if (!next || seconds <= at) return [x, y];
  const part = (seconds - at) / (next[0] - at);
  return [x + (next[1] - x) * part, y + (next[2] - y) * part];
}

// What a node is doing, in words.
function doing(node, held) {
  const state = known(node.name);
  const words = [];
  const { router, away } = attachment(node);
  if (links.crashed.has(node.name)) words.push("crashed");
  if (router !== undefined) words.push(away ? `has left ${router}` : `at ${router}`);
  if (state.handover !== undefined) words.push(`handover ${state.handover}`);
  if (state.phases) words.push(Object.keys(state.phases).join(", ").replaceAll("_", " "));
  if (state.asleep) words.push("asleep");
  if (held.has(node.name)) words.push(`on hold at ${held.get(node.name).join(", ")}`);
  if (state.held) words.push(`keeps back ${Object.keys(state.held).map(nameOf).slice(0, 3).join(", ")}`);
  if (state.unserved) words.push("has no address");
  const failed = Object.values(state.failed ?? {}).reduce((sum, count) => sum + count, 0);
  if (failed) words.push(`${failed} failed`);
  if (!state.ready && node.place !== "radio" && words.length === 0) words.push("not ready");
  return words.join(" · ");
}
