// The lists beside the drawing, which say the same in words.

const at = id => document.getElementById(id);

function make(kind, text, more = {}) {
  const element = document.createElement(kind);
  if (text !== null) element.textContent = text;
  Object.assign(element, more);
  return element;
}

function show(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

function ms(seconds) {
  return `${(seconds * 1e3).toFixed(1)} ms`;
}

// At which item of a list somebody is with the keyboard, who stays there when the items become others.
function placeIn(list) {
  return list ? [...list.children].findIndex(item => item.contains(document.activeElement)) : -1;
}

function returnTo(list, place) {
  list.children[place]?.firstChild.focus({ preventScroll: true });
}

// Of a list one button is reached by Tab, and from it the others by the arrow keys.
function reachBy(list, place) {
  [...list.children].forEach((item, i) => {
    item.firstChild.tabIndex = i === place ? 0 : -1;
  });
}

function fillList(list, items) {
  const place = placeIn(list);
  list.replaceChildren(...items);
  reachBy(list, Math.max(place, 0));
  returnTo(list, place);
}

function alongList(event) {
  const item = event.target.closest(".list > li");
  const next = { ArrowDown: item?.nextSibling, ArrowUp: item?.previousSibling }[event.key];
  if (!next) return;
  event.preventDefault();
  next.firstChild.focus();
}

function isReached(event) {
  const list = event.target.closest(".list");
  if (list) reachBy(list, placeIn(list));
}

// An event in words.
function words(event) {
  const who = event.p_addr === undefined ? "" : nameOf(event.p_addr);
  const phase = () => event.phase.replaceAll("_", " ");
  switch (event.event) {
    case "scenario_started": return "the scenario starts";
    case "scenario_ended": return "the scenario ends";
    case "scenario_step": return event.what;
    case "handover_started": return `handover ${event.handover} starts: leaves ${event.from} (${event.reason})`;
    case "phase_started": return `${phase()} begins`;
    case "phase_ended": return `${phase()} ends`;
    case "handover_completed": return `handover ${event.handover} completed: at ${event.to} as ${event.t_addr}`;
    case "handover_failed": return `handover ${event.handover} given up: ${event.reason}`;
    case "registered": return `${who} is registered at ${event.t_addr}`;
    case "binding_changed": return `${who} is at ${event.t_addr}${event.held ? ", on hold" : ""}`;
    case "binding_removed": return `${who} is not known any more: ${event.reason}`;
    case "resumed": return `sends ${event.queued} kept back for ${who}`;
    case "request_failed": return `a request to ${who} failed: ${event.reason}`;
    case "leased": return `lease of ${event.address}`;
    case "unserved": return event.reason;
    case "tuned": return `tuned to channel ${event.channel}, PAN ${event.pan_id}`;
    case "sleep_started": return `sleeps for ${event.period_s} s${event.announced ? ", announced" : ""}`;
    case "sleep_ended": return event.early ? "awake early" : "awake";
    case "radio_energy": return `has used ${event.millijoules.toFixed(3)} mJ`;
    case "program_exited": return `its program exited with ${event.status}`;
    case "http_drained": return `asked ${event.asked} by HTTP, answered ${event.answered}`;
    case "drained": return `asked ${event.requested}, answered ${event.answered}, failed ${event.failed}`;
    default: return event.event.replaceAll("_", " ");
  }
}

const VERDICTS = {
  growing: ["goes on", ""],
  partial: ["partial", "failed"],
  failed: ["failed", "failed"],
};

// What stands over everything.
function showHead() {
  const { plan, result, extent } = model;
  const [verdict, kind] = VERDICTS[extent.condition] ?? (!result ? ["not known", ""] : result.passed ? ["passed", "passed"] : ["failed", "failed"]);
  document.title = `${plan.topology}: ${plan.name}`;
  show("title", plan.topology);
  show("summary", plan.summary);
  show("verdict", verdict);
  at("verdict").className = `verdict ${kind}`;
  at("report").hidden = !extent.report;
  const facts = [`seed ${plan.seed}`, `${plan.nodes.length} nodes`, `${extent.count} events`];
  if (result) {
    facts.push(`requests: ${result.requests.sent} sent, ${result.requests.lost} lost`);
    const reasons = Object.entries(result.reasons).map(([reason, count]) => `${reason} ${count}`);
    if (reasons.length) facts.push(`failed: ${reasons.join(", ")}`);
    if (result.never_sent) facts.push(`never sent: ${result.never_sent}`);
  }
  show("facts", facts.join(" · "));
  const notices = [...extent.problems];
  if (extent.why) notices.push(`${extent.condition === "partial" ? "The run did not come to its end" : "The run failed"}: ${extent.why}`);
  if (result) notices.push(...result.uncovered);
  if (!extent.read) notices.push("The events are still being read.");
  else if (extent.count === 0) notices.push(extent.condition === "growing" ? "There is no event yet." : "There are no events.");
  show("notice", notices.join(" "));
  showRun();
  showActs();
}

function makeNodes() {
  const items = model.plan.nodes.map(node => {
    const item = make("li", null);
    const button = make("button", null);
    button.dataset.node = node.name;
    button.setAttribute("aria-pressed", "false");
    button.append(make("b", node.name), make("span", "", { className: "soft" }));
    button.addEventListener("click", () => select(model.selected === node.name ? null : node.name));
    item.append(button);
    return item;
  });
  fillList(at("nodes"), items);
}

function showNodes() {
  const held = onHold();
  currentLinks();
  const items = at("nodes").children;
  model.plan.nodes.forEach((node, i) => {
    const button = items[i].firstChild, words = doing(node, held);
    if (button.lastChild.textContent !== words) button.lastChild.textContent = words;
    const pressed = String(node.name === model.selected);
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  });
}

const MOST_LISTED = 1000;

function makeHandovers() {
  const items = model.handovers.slice(0, MOST_LISTED).map((told, index) => {
    const item = make("li", null);
    const button = make("button", null);
    button.dataset.handover = String(index);
    const took = told.ended_ns === null ? "goes on" : ms((told.ended_ns - told.started_ns) / 1e9);
    const what = told.failure ? `${told.from}: given up, ${told.failure}` : `${told.from} → ${told.to ?? "?"}: ${took}`;
    const seen = told.seen.filter(one => one.delay_s !== null).map(one => `${one.client}: ${ms(one.delay_s)}, ${one.lost} lost`);
    button.append(
      make("time", toSeconds(told.started_ns).toFixed(6)),
      make("b", `${told.node} ${told.number}`),
      make("span", what, { className: "what" }),
      make("span", seen.length ? `gap at ${seen.join("; ")}` : "", { className: "soft" }),
    );
    button.addEventListener("click", () => toHandover(index));
    item.append(button);
    return item;
  });
  fillList(at("handovers"), items);
  const left = model.handovers.length - items.length + model.moreHandovers;
  show("more-handovers", model.handovers.length === 0 ? "none" : left > 0 ? `and ${left} more` : "");
  markHandover();
}

// The handover at or before this instant.
function handoverNow() {
  let index = -1;
  model.handovers.forEach((told, i) => {
    if (told.started_ns <= model.now) index = i;
  });
  return index;
}

function markHandover() {
  const now = handoverNow();
  const going = model.handovers[now];
  const current = going && (going.ended_ns ?? Infinity) >= model.now ? now : -1;
  [...at("handovers").children].forEach((item, i) => {
    const is = String(i === current);
    if (item.firstChild.getAttribute("aria-current") !== is) item.firstChild.setAttribute("aria-current", is);
  });
}

function eventItem({ t, event }, withNode) {
  const item = make("li", null);
  const button = make("button", null);
  button.append(make("time", toSeconds(t).toFixed(6)));
  if (withNode) button.append(make("b", event.node));
  button.append(make("span", words(event), { className: "what" }));
  button.addEventListener("click", () => {
    pause();
    if (model.byName.has(event.node)) select(event.node);
    seek({ t });
  });
  item.append(button);
  return item;
}

function showEvents() {
  const items = model.log.slice(-LOG).reverse().map(one => eventItem(one, true));
  fillList(at("events"), items);
}

// What is asked of the server for the node that is selected: its last events.
const nodeEvents = { asked: false, again: false, name: null, number: -1, last: [] };

async function askNode() {
  if (nodeEvents.asked) {
    nodeEvents.again = true;
    return;
  }
  const name = model.selected, number = model.number;
  if (name === null || (nodeEvents.name === name && nodeEvents.number === number)) return;
  nodeEvents.asked = true;
  try {
    const { last } = await ask(`/node?name=${encodeURIComponent(name)}&number=${number}`);
    Object.assign(nodeEvents, { name, number, last });
    showNode();
  } catch (error) {
    complain(error);
  }
  nodeEvents.asked = false;
  if (nodeEvents.again) {
    nodeEvents.again = false;
    askNode();
  }
}

function pairs(rows) {
  const list = make("dl", null);
  for (const [name, value] of rows) {
    if (value !== undefined && value !== "") list.append(make("dt", name), make("dd", String(value)));
  }
  return list;
}

const MOST_BINDINGS = 20;

function bindings(state) {
  const all = Object.entries(state.bindings ?? {});
  if (all.length === 0) return [];
  const table = make("table", null);
  const head = make("tr", null);
  head.append(make("th", "knows"), make("th", "at"), make("th", ""));
  table.append(head);
  for (const [p_addr, t_addr] of all.slice(0, MOST_BINDINGS)) {
    const row = make("tr", null);
    row.append(make("td", nameOf(p_addr)), make("td", t_addr), make("td", state.held?.[p_addr] ? "on hold" : ""));
    table.append(row);
  }
  const left = all.length - MOST_BINDINGS;
  return left > 0 ? [table, make("p", `and ${left} more`, { className: "soft" })] : [table];
}

function showNode() {
  const node = model.byName.get(model.selected);
  at("node-section").hidden = node === undefined;
  if (node === undefined) return;
  const state = known(node.name);
  const { router, away } = attachment(node);
  const failed = Object.entries(state.failed ?? {}).map(([reason, count]) => `${reason} ${count}`).join(", ");
  const metres = position(node, toSeconds(model.now));
  show("h-node", node.name);
  const facts = pairs([
    ["is", node.lines.join("; ")],
    ["address", node.address],
    ["router", router === undefined ? undefined : away ? `none, has left ${router}` : router],
    ["now", state.address === node.address ? undefined : state.address],
    ["position", metres ? `${metres[0].toFixed(1)} m, ${metres[1].toFixed(1)} m` : undefined],
    ["channel", state.channel === undefined ? undefined : `${state.channel}, PAN ${state.pan_id}`],
    ["handovers", state.completed || state.given_up ? `${state.completed ?? 0} completed, ${state.given_up ?? 0} given up` : undefined],
    ["last failure", state.failure],
    ["phases", state.phases ? Object.keys(state.phases).join(", ") : undefined],
    ["requests failed", failed],
    ["asked by HTTP", state.asked_by_http ? `${state.asked_by_http.asked}, answered ${state.asked_by_http.answered}` : undefined],
    ["asked", state.asked ? `${state.asked.requested}, answered ${state.asked.answered}` : undefined],
    ["energy", state.millijoules === undefined ? undefined : `${state.millijoules.toFixed(3)} mJ`],
    ["left out", state.left_out],
  ]);
  const parts = [facts, ...bindings(state)];
  if (nodeEvents.name === node.name && nodeEvents.last.length) {
    const list = make("ol", null, { className: "list", id: "node-events" });
    list.setAttribute("aria-label", `Last events of ${node.name}, the latest first`);
    fillList(list, nodeEvents.last.toReversed().map(one => eventItem(one, false)));
    parts.push(list);
  }
  const place = placeIn(at("node-events"));
  at("node").replaceChildren(...parts);
  if (place >= 0 && at("node-events")) returnTo(at("node-events"), place);
}

const KEYS = [
  ["space", "play, pause"],
  ["→ ←", "one event on, back"],
  ["n p", "next, previous handover"],
  ["+ -", "faster, slower"],
  ["Home End", "beginning, end"],
  ["↑ ↓", "along a list"],
  ["l", "live: to the end, and on with the run"],
  ["h", "hold the run itself, let it go on"],
  ["Esc", "no node"],
];

function makeFixed() {
  at("keys").replaceChildren(...pairs(KEYS).children);
  const marks = "■ wired, ◆ router, ● radio in its router's colour. Ring and dashes: on hold. Hollow: asleep; hollow and dashed: without a router; ×: crashed.";
  at("legend").textContent = view.area
    ? `${marks} Radios and routers stand to scale.${model.plan.medium === "phy" ? " Small dots: frames on the air, while it plays; red: nobody received it." : ""}`
    : `${marks} Without positions in the plan, radios stand below their routers.`;
}
