// The network on a canvas: to scale where nodes have positions, else by who is attached where.

const stats = { frames: 0 };

const view = {
  canvas: document.getElementById("map"),
  colours: {},
  places: new Map(), // pixels by name: where each node is drawn now
  flashes: [],
  stale: true, // what is drawn is not what is known
  snap: true, // go to new places at once
};

const FLASH_MS = 700, FRAME_FLASH_MS = 280, MOST_FLASHES = 80, LABELS = 40;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "soft", "line", "paper", "shade", "bad", "good", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"]) {
    view.colours[name] = style.getPropertyValue("--" + name).trim();
  }
  view.stale = true;
}

function routerColour(name) {
  const index = model.routers.indexOf(name);
  // c1 is for what is on hold.
  return index < 0 ? view.colours.c6 : view.colours[["c0", "c2", "c3", "c4", "c5", "c7"][index % 6]];
}

// Makes the canvas as large as it is shown.
function fit(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// The area that all ways lie in, metres; null if it is not known where the routers stand.
function area() {
  let box = null;
  if (model.plan.nodes.some(node => node.place === "router" && !node.track)) return null;
  for (const node of model.plan.nodes) {
    for (const [, x, y] of node.track ?? []) {
      box ??= [x, y, x, y];
      box = [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)];
    }
  }
  return box;
}

function setArea() {
  view.area = area();
  view.places.clear();
  view.snap = true;
  view.stale = true;
}

// Where each node is to be drawn.
function layout(width, height) {
  const to = new Map();
  const of = place => model.plan.nodes.filter(node => node.place === place);
  const wired = of("wired"), routers = of("router"), radios = of("radio");
  const part = (share, least) => Math.max(height * share, least);
  const first = view.area ? 30 : part(0.09, 30);
  wired.forEach((node, i) => to.set(node.name, [width * (i + 0.5) / wired.length, first]));
  view.backbone = wired.length ? first + (view.area ? 30 : part(0.1, 34)) : null;
  const top = (view.backbone ?? 0) + 26;
  if (view.area) {
    scaled(to, [...routers, ...radios], width, height, top);
    return to;
  }
  const column = width / Math.max(routers.length, 1);
  const second = top + part(0.07, 20);
  routers.forEach((node, i) => to.set(node.name, [column * (i + 0.5), second]));
  const groups = new Map(routers.map(node => [node.name, []]));
  for (const node of radios) {
    const { router } = attachment(node);
    if (!groups.has(router)) groups.set(router, []);
    groups.get(router).push(node);
  }
  let index = 0;
  for (const group of groups.values()) {
    const room = height - 12 - second;
    // Few stand in the middle of the room; many need all of it.
    grid(to, group, column * index, column, second + Math.max(46, room * (group.length > 6 ? 0.15 : 0.4)), height - 12);
    index += 1;
  }
  return to;
}

// Nodes in rows between two heights, as far apart as there is room for.
function grid(to, group, left, width, top, bottom) {
  let cell = 92;
  const rows = () => Math.ceil(group.length / Math.max(1, Math.floor(width / cell)));
  while (cell > 6 && rows() * Math.min(cell, 56) > bottom - top) cell *= 0.92;
  const columns = Math.max(1, Math.floor(width / cell));
  const tall = Math.min(cell, 56);
  group.forEach((node, i) => {
    const row = Math.floor(i / columns);
    const inRow = Math.min(columns, group.length - row * columns);
    to.set(node.name, [left + width / 2 + (i % columns - (inRow - 1) / 2) * cell, top + 14 + row * tall]);
  });
}

function scaled(to, nodes, width, height, top) {
  const [x0, y0, x1, y1] = view.area;
  const left = 40, right = width - 40, low = top + 16, high = height - 34;
  const scale = Math.min((right - left) / Math.max(x1 - x0, 1), (high - low) / Math.max(y1 - y0, 1));
  view.scale = scale;
  const seconds = toSeconds(model.now);
  let without = 0;
  for (const node of nodes) {
    const at = position(node, seconds);
    const x = at ? (left + right) / 2 + (at[0] - (x0 + x1) / 2) * scale : 20 + 24 * without++;
    // y grows upwards on a map.
    const y = at ? (low + high) / 2 - (at[1] - (y0 + y1) / 2) * scale : height - 12;
    to.set(node.name, [x, y]);
  }
}

// Brings places nearer to where they are to be; says whether they are there.
function glide(to, elapsed) {
  let there = true;
  const part = view.snap || calm.matches || view.area ? 1 : 1 - Math.exp(-elapsed / 110);
  for (const [name, [x, y]] of to) {
    const old = view.places.get(name) ?? [x, y];
    const next = [old[0] + (x - old[0]) * part, old[1] + (y - old[1]) * part];
    if (Math.abs(next[0] - x) + Math.abs(next[1] - y) < 0.5) view.places.set(name, [x, y]);
    else {
      view.places.set(name, next);
      there = false;
    }
  }
  view.snap = false;
  return there;
}

// What an event looks like for a moment.
function flash(event, when) {
  // Frames leave room for events.
  if (view.flashes.length >= 2 * MOST_FLASHES) return;
  const about = event.p_addr === undefined ? undefined : nameOf(event.p_addr);
  const bad = event.event === "request_failed" || event.event === "handover_failed";
  if (about !== undefined && about !== event.node && model.byName.has(about)) {
    // What a node makes known comes from it; what fails was on its way to it.
    const [from, to] = bad ? [event.node, about] : [about, event.node];
    view.flashes.push({ from, to, bad, when });
  } else if (model.byName.has(event.node) && event.event !== "radio_energy") {
    view.flashes.push({ from: event.node, bad, when });
  }
}

// Draws; says whether something still moves.
function draw(elapsed, when) {
  stats.frames += 1;
  const { pen, width, height } = fit(view.canvas);
  const there = glide(layout(width, height), elapsed);
  pen.font = "12px system-ui, 'DejaVu Sans', Arial, sans-serif";
  pen.textAlign = "center";
  const held = onHold();
  const current = currentLinks();
  const radios = model.plan.nodes.filter(node => node.place === "radio");
  drawBackbone(pen, width);
  if (view.area) drawRule(pen, height);
  drawAttachments(pen, radios);
  if (radios.length * model.routers.length <= 120) drawLinks(pen, current, radios.length * model.routers.length <= 8);
  drawHolds(pen, held);
  const lasts = one => (one.frame ? FRAME_FLASH_MS : FLASH_MS);
  view.flashes = view.flashes.filter(one => when - one.when < lasts(one));
  for (const one of view.flashes) drawFlash(pen, one, (when - one.when) / lasts(one));
  const small = radios.length > 150 ? 4 : radios.length > LABELS ? 6 : 9;
  for (const node of model.plan.nodes) drawNode(pen, node, node.place === "radio" ? small : 9, held, current);
  drawLabels(pen, width, radios.length);
  view.stale = false;
  return !there || view.flashes.length > 0;
}

function line(pen, a, b) {
  const from = view.places.get(a), to = view.places.get(b);
  if (!from || !to) return;
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function drawBackbone(pen, width) {
  if (view.backbone === null) return;
  pen.strokeStyle = view.colours.soft;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(8, view.backbone);
  pen.lineTo(width - 8, view.backbone);
  pen.stroke();
  for (const node of model.plan.nodes) {
    if (node.place === "radio") continue;
    // On a map a router's wire crosses where radios are.
    const crosses = view.area && node.place === "router";
    pen.strokeStyle = crosses ? view.colours.line : view.colours.soft;
    const [x, y] = view.places.get(node.name);
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x, view.backbone);
    pen.stroke();
  }
}

// How long some metres are.
function drawRule(pen, height) {
  const wanted = 90 / view.scale;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const metres = [5, 2, 1].map(one => one * power).find(one => one <= wanted) ?? power;
  pen.strokeStyle = view.colours.soft;
  pen.fillStyle = view.colours.soft;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(14, height - 14);
  pen.lineTo(14 + metres * view.scale, height - 14);
  pen.stroke();
  pen.textAlign = "left";
  pen.fillText(`${metres} m`, 14, height - 20);
  pen.textAlign = "center";
}

// Links that the plan sets, by how much is left of the signal.
function drawLinks(pen, current, labelled) {
  for (const link of current.of.values()) {
    const from = view.places.get(link.a), to = view.places.get(link.b);
    if (link.db === null || !link.up || !from || !to) continue;
    pen.setLineDash([2, 4]);
    const left = (model.plan.budget_db - link.db) / 40;
    pen.strokeStyle = left < 0 ? view.colours.line : view.colours.soft;
    pen.lineWidth = left < 0 ? 1 : 1 + 2 * Math.min(left, 1);
    line(pen, link.a, link.b);
    if (labelled) label(pen, `${link.db} dB`, (from[0] + to[0]) / 2, (from[1] + to[1]) / 2, view.colours.soft);
  }
  pen.setLineDash([]);
}

function label(pen, text, x, y, colour) {
  pen.setLineDash([]);
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = view.colours.paper;
  pen.strokeText(text, x, y);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function drawAttachments(pen, radios) {
  // Many below one another say by their place where they are.
  if (!view.area && radios.length > LABELS) return;
  pen.lineWidth = radios.length > LABELS ? 1 : 2;
  pen.globalAlpha = radios.length > LABELS ? 0.35 : 0.8;
  for (const node of radios) {
    const { router, away } = attachment(node);
    if (away) continue;
    pen.strokeStyle = routerColour(router);
    line(pen, node.name, router);
  }
  pen.globalAlpha = 1;
}

function drawHolds(pen, held) {
  pen.strokeStyle = view.colours.c1;
  pen.lineWidth = 2;
  pen.setLineDash([6, 5]);
  for (const [node, holders] of held) {
    for (const holder of holders) line(pen, holder, node);
  }
  pen.setLineDash([]);
}

function drawFlash(pen, one, age) {
  const from = view.places.get(one.from), to = view.places.get(one.to);
  pen.globalAlpha = 1 - age;
  pen.strokeStyle = pen.fillStyle = one.bad ? view.colours.bad : view.colours.ink;
  pen.lineWidth = 2;
  if (one.frame) {
    pen.strokeStyle = pen.fillStyle = one.bad ? view.colours.bad : view.colours.soft;
    pen.lineWidth = 1;
  }
  if (to && one.frame) {
    pen.beginPath();
    pen.arc(from[0] + (to[0] - from[0]) * age, from[1] + (to[1] - from[1]) * age, 3, 0, 7);
    pen.fill();
  } else if (to) {
    pen.globalAlpha = (1 - age) * 0.6;
    line(pen, one.from, one.to);
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(from[0] + (to[0] - from[0]) * age, from[1] + (to[1] - from[1]) * age, 4, 0, 7);
    pen.fill();
  } else if (from) {
    pen.beginPath();
    pen.arc(...from, 9 + 16 * age, 0, 7);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawNode(pen, node, size, held, current) {
  const [x, y] = view.places.get(node.name);
  const state = known(node.name);
  const { router, away } = attachment(node);
  const colour = node.place === "radio" ? routerColour(router) : node.place === "router" ? routerColour(node.name) : view.colours.soft;
  const crashed = current.crashed.has(node.name);
  pen.beginPath();
  if (node.place === "radio") pen.arc(x, y, size, 0, 7);
  else if (node.place === "wired") pen.rect(x - size, y - size, 2 * size, 2 * size);
  else {
    pen.moveTo(x, y - size - 4);
    pen.lineTo(x + size + 4, y);
    pen.lineTo(x, y + size + 4);
    pen.lineTo(x - size - 4, y);
    pen.closePath();
  }
  const hollow = away || state.asleep || crashed;
  pen.fillStyle = hollow ? view.colours.paper : colour;
  pen.fill();
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.setLineDash(away ? [3, 3] : []);
  pen.stroke();
  pen.setLineDash([]);
  if (crashed) {
    pen.strokeStyle = view.colours.bad;
    pen.beginPath();
    pen.moveTo(x - size, y - size);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y - size);
    pen.lineTo(x - size, y + size);
    pen.stroke();
  }
  if (held.has(node.name)) ring(pen, x, y, size + 5, view.colours.c1, 3);
  if (node.name === model.selected) ring(pen, x, y, size + 9, view.colours.ink, 2);
}

function ring(pen, x, y, radius, colour, width) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.stroke();
}

function drawLabels(pen, width, radios) {
  const room = width / Math.max(1, model.plan.nodes.filter(node => node.place === "wired").length);
  for (const node of model.plan.nodes) {
    const asked = node.name === model.selected || node.name === view.hovered;
    if (!asked && (node.place === "radio" ? radios > LABELS : node.place === "wired" && room < 56)) continue;
    const [x, y] = view.places.get(node.name);
    const name = node.name.length > 16 && !asked ? node.name.slice(0, 15) + "…" : node.name;
    const half = pen.measureText(name).width / 2 + 4;
    label(pen, name, Math.min(Math.max(x, half), width - half), node.place === "wired" ? y - 17 : y + 28, view.colours.ink);
  }
}

// The node that is drawn nearest to a point, if one is near.
function nodeAt(x, y) {
  let best = null, least = 24;
  for (const [name, at] of view.places) {
    const distance = Math.hypot(at[0] - x, at[1] - y);
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

// Handovers along the axis of time.
function drawMarks() {
  const canvas = document.getElementById("marks");
  const end = axisEnd();
  const { count, end_ns } = model.extent;
  const now = [canvas.clientWidth, end, end_ns, count, model.handovers.length, view.colours.ink].join(" ");
  if (now === view.marks) return;
  view.marks = now;
  const { pen, width, height } = fit(canvas);
  // The knob of the slider keeps half its width free at both ends.
  const x = t => 8 + (width - 16) * Math.min(t / end, 1);
  pen.fillStyle = view.colours.line;
  pen.fillRect(8, height - 3, x(end_ns) - 8, 2);
  for (const told of model.handovers) {
    pen.fillStyle = told.failure ? view.colours.bad : view.colours.c1;
    const from = x(told.started_ns), to = x(told.ended_ns ?? end_ns);
    pen.fillRect(from, 2, Math.max(to - from, 2), height - 6);
  }
  if (model.extent.start_ns !== null) {
    pen.fillStyle = view.colours.soft;
    pen.fillRect(x(start()), 0, 1, height);
  }
}
