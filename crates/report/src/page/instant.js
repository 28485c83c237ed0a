// The instant of the scenario that figures, map, frames and player share.

const instant = { at: null, listeners: [] };
const PLAYER = "http://127.0.0.1:8080/"; // what `wpanlab view . --port 8080` says
const AROUND_NS = 50_000_000n; // before and behind the instant that a command shows

// Chooses an instant, in seconds of the scenario; null: none. `from` is the chart whose cursor chose it, if one did.
function share(seconds, from = null) {
  // To the nanosecond, as captures and events have it.
  instant.at = seconds === null ? null : Math.round(seconds * 1e9) / 1e9;
  for (const chart of charts.filter(chart => chart.told.clock)) {
    const [origin, unit] = chart.told.clock;
    if (chart !== from) {
      chart.at = seconds === null ? null : (seconds - origin) / unit;
      chart.toldAt = null;
    }
    show(chart, from !== null);
  }
  for (const listen of instant.listeners) listen(instant.at);
}

// Where a node is on its way: straight on between two places.
function placeOn(track, seconds) {
  const next = countUpTo(track, seconds, place => place[0]);
  const [before, after] = [track[Math.max(next - 1, 0)], track[next]];
  if (!after || next === 0) return before.slice(1);
  const part = (seconds - before[0]) / (after[0] - before[0]);
  return [1, 2].map(i => before[i] + (after[i] - before[i]) * part);
}

// The router that a node is at; null if it has left one.
function routerOf(changes, seconds) {
  const last = changes[Math.max(countUpTo(changes, seconds, change => change[0]) - 1, 0)];
  return last ? last[1] : null;
}

// Draws who is where into the map, or into the scheme.
function drawPlaces(figure, routers, seconds) {
  const told = JSON.parse(figure.dataset.chart);
  for (const svg of figure.querySelectorAll("svg.d")) {
    svg.querySelector("g.places")?.remove();
    if (seconds === null) continue;
    const group = draw("g", { class: "places" });
    const places = told.kind === "area" ? onMap(figure, svg, seconds) : inScheme(told, svg);
    for (const [name, router] of routers) {
      const [from, to] = [places.get(name), places.get(router)];
      if (from && to) group.append(draw("path", { class: "l1", d: `M${at(from.x, from.top)}L${at(to.x, to.bottom)}` }));
    }
    if (told.kind === "area") {
      for (const one of places.values()) {
        if (one.moves) group.append(draw("circle", { class: "f1", cx: tenth(one.x), cy: tenth(one.top), r: 6 }, draw("title", {}, one.name)));
      }
    }
    svg.append(group);
  }
}

function onMap(figure, svg, seconds) {
  figure.tracks ??= tracksOf(figure);
  const [x, y] = ["x", "y"].map(axis => scale(endsOf(svg, axis)));
  const places = [...figure.tracks].map(([name, { kind, track }]) => {
    const [px, py] = placeOn(track, seconds);
    return [name, { name, moves: kind === "node", x: x.at(px), top: y.at(py), bottom: y.at(py) }];
  });
  return new Map(places);
}

function tracksOf(figure) {
  const tracks = new Map();
  for (const [name, kind, ...place] of rowsOf(figure.querySelector(".values pre").textContent).slice(1)) {
    if (!tracks.has(name)) tracks.set(name, { kind, track: [] });
    tracks.get(name).track.push(place.slice(0, 3).map(Number));
  }
  return tracks;
}

// The boxes stand in the order of their names.
function inScheme(told, svg) {
  const boxes = [...svg.querySelectorAll("rect.box")].map((box, i) => {
    const [x, y, width, height] = ["x", "y", "width", "height"].map(key => Number(box.getAttribute(key)));
    return [told.boxes[i], { x: x + width / 2, top: y, bottom: y + height }];
  });
  return new Map(boxes);
}

// Unix time of an instant as Wireshark's filters have it.
function epoch(nanoseconds) {
  const text = nanoseconds.toString().padStart(10, "0");
  return `${text.slice(0, -9)}.${text.slice(-9)}`;
}

function commandAt(run, seconds) {
  const start = BigInt(run.start) + BigInt(Math.round(seconds * 1e9));
  const ends = [start - AROUND_NS, start + AROUND_NS].map(epoch);
  return `tshark -r captures/all.pcapng -Y "frame.time_epoch >= ${ends[0]} && frame.time_epoch <= ${ends[1]}"`;
}

// Whether the page is shown by `wpanlab view`, which is the player then.
const isPlayers = () => location.pathname === "/report.html" && ["127.0.0.1", "localhost"].includes(location.hostname);

// The player's address of an instant: a link where the player is known to be.
function played(hash) {
  return isPlayers() ? make("a", { href: `/#${hash}` }, "this instant") : make("code", {}, `${PLAYER}#${hash}`);
}

function scrubber(run) {
  const figure = document.getElementById("fig-area") ?? document.getElementById("fig-topology");
  if (!figure) return;
  const input = (type, name) => make("input", { type, min: 0, max: run.duration, step: "any", value: 0, "aria-label": name });
  const range = input("range", "Instant of the scenario"), field = input("number", "Instant of the scenario in seconds");
  const state = make("output", {});
  const links = make("p", { class: "soft" });
  const jump = (text, pick) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      const found = pick(run.handovers.map(([at]) => at), instant.at ?? 0);
      if (found !== undefined) share(found);
    });
    return button;
  };
  const row = make("div", { class: "line" }, range, field, " s");
  if (run.handovers.length) {
    row.append(
      jump("Previous handover", (all, now) => all.findLast(at => at < now - 1e-9)),
      jump("Next handover", (all, now) => all.find(at => at > now + 1e-9)),
    );
  }
  figure.querySelector("figcaption").before(make("div", { class: "scrub" }, row, state, links));
  const choose = from => {
    const seconds = Number(from.value);
    if (from.value !== "" && Number.isFinite(seconds)) share(within(seconds, 0, run.duration));
  };
  range.addEventListener("input", () => later(() => choose(range)));
  field.addEventListener("change", () => choose(field));
  instant.listeners.push(seconds => {
    const routers = seconds === null ? [] : run.nodes.map(([name, changes]) => [name, routerOf(changes, seconds)]);
    drawPlaces(figure, routers, seconds);
    if (seconds === null) return;
    if (Number(range.value) !== seconds) range.value = seconds;
    field.value = String(Number(seconds.toFixed(9)));
    state.textContent = whereabouts(routers, seconds);
    links.replaceChildren("In the player: ", played(`t=${seconds.toFixed(9)}`));
    if (run.all && run.start) links.append("; its frames: ", make("code", {}, commandAt(run, seconds)));
  });
}

const MOST_TOLD = 8; // nodes of which it is said in words where they are

function whereabouts(routers, seconds) {
  const told = routers.slice(0, MOST_TOLD).map(([name, router]) => (router === null ? `${name} at no router` : `${name} at ${router}`));
  const more = routers.length > MOST_TOLD ? ` and ${routers.length - MOST_TOLD} more nodes` : "";
  return `${seconds.toFixed(6)} s${told.length ? `: ${told.join(", ")}${more}` : ""}`;
}

// The rows of frames: each chooses its instant, and the last one before an instant is marked.
function frameRows() {
  const tables = [...document.querySelectorAll("#frames tbody")];
  for (const row of tables.flatMap(table => [...table.rows])) {
    const [cell] = row.cells;
    const button = make("button", { type: "button", class: "time" }, cell.textContent);
    button.addEventListener("click", () => share(Number(button.textContent)));
    cell.replaceChildren(button);
  }
  instant.listeners.push(seconds => {
    for (const table of tables) {
      const rows = [...table.rows].map(row => [Number(row.cells[0].textContent), row]);
      for (const [, row] of rows) row.removeAttribute("aria-current");
      if (seconds === null) continue;
      const before = rows.filter(([time]) => time <= seconds + 1e-9);
      const last = before.reduce((last, one) => (last === null || one[0] >= last[0] ? one : last), null);
      last?.[1].setAttribute("aria-current", "true");
    }
  });
}

function beginPage() {
  document.body.append(spoken);
  for (const figure of document.querySelectorAll("figure[data-chart]")) begin(figure);
  const told = document.querySelector("main").dataset.run;
  if (told) scrubber(JSON.parse(told));
  for (const code of document.querySelectorAll(".played code")) code.replaceWith(played(code.textContent.split("#")[1]));
  frameRows();
  // What was folded, or is as wide as another drawing now, has its cursor where it belongs.
  const anew = () => charts.forEach(chart => show(chart));
  document.addEventListener("toggle", anew, true);
  addEventListener("resize", anew);
}

beginPage();
