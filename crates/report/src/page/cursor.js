// What a reader does with a figure: pointer, touch and keys read its values and draw a part of it larger.

const charts = [];
const spoken = make("div", { class: "unseen", "aria-live": "polite" });
const MOST_ALIKE = 4; // values of a series at one place that are told
const SMALLEST = 1e-6; // of a figure's width that is drawn larger

// Whether its cursor stands at a value of the axis to the right; else it is at a row.
const hasX = chart => chart.told.kind === "plot" || chart.told.clock !== undefined;

function begin(figure) {
  const chart = { figure, told: JSON.parse(figure.dataset.chart), svgs: [...figure.querySelectorAll("svg.d")], at: null, zoom: null };
  const tools = make("div", { class: "tools" });
  figure.querySelector("h3").after(tools);
  if (chart.told.kind === "plot" || chart.told.kind === "bars") {
    charts.push(chart);
    enliven(chart);
    const button = (text, act) => {
      const one = make("button", { type: "button" }, text);
      one.addEventListener("click", act);
      tools.append(one);
    };
    button("Zoom in", () => zoomBy(chart, 0.5));
    button("Zoom out", () => zoomBy(chart, 2));
    button("Whole", () => zoom(chart, null));
  }
  tools.append(download(chart));
}

function download(chart) {
  const link = make("a", { href: `#${chart.figure.id}`, download: `${chart.figure.id.slice(4)}.csv` }, "CSV");
  link.addEventListener("click", () => {
    const text = chart.figure.querySelector(".values pre").textContent;
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return link;
}

function enliven(chart) {
  const title = chart.figure.querySelector("h3").textContent;
  const keys = hasX(chart) ? "left and right arrows" : "up and down arrows";
  const about = `${title}. Values: ${keys}, Home, End. Zoom: plus, minus, 0.`;
  chart.tip = make("div", { class: "tip", hidden: "" });
  chart.box = make("div", { class: "chart", tabindex: "0", role: "application", "aria-label": about });
  chart.svgs[0].before(chart.box);
  chart.box.append(...chart.svgs, chart.tip);
  const on = (name, act, options) => chart.box.addEventListener(name, act, options);
  on("keydown", event => onKey(chart, event));
  on("blur", hideTips);
  on("pointerleave", event => (chart.drag ? null : later(() => (isRead(event) ? null : hideTips()))));
  on("pointerdown", event => press(chart, event));
  on("pointermove", event => (hasMoved(event) ? later(() => point(chart, event)) : null));
  on("pointerup", event => release(chart, event));
  on("pointercancel", () => (chart.drag = null));
  on("wheel", event => onWheel(chart, event), { passive: false });
}

// Whether the pointer did, and not the page below it.
const pointer = { x: null, y: null, last: true };

// A finger that has left the glass has read something, and who uses keys reads what they have led to, whatever moves below
// the pointer.
const isRead = ({ pointerType }) => pointerType === "touch" || !pointer.last;

function hasMoved({ clientX, clientY }) {
  const isSame = clientX === pointer.x && clientY === pointer.y;
  Object.assign(pointer, { x: clientX, y: clientY, last: pointer.last || !isSame });
  return !isSame;
}

// Of what comes faster than it can be drawn the last.
const due = { act: null };
function later(act) {
  if (due.act === null) requestAnimationFrame(() => {
    const last = due.act;
    due.act = null;
    last();
  });
  due.act = act;
}

// Where a pointer is in the drawing that is seen.
function placeOf(chart, event) {
  const svg = seen(chart);
  const box = svg.getBoundingClientRect();
  const per = svg.viewBox.baseVal.width / box.width;
  return { svg, x: (event.clientX - box.left) * per, y: (event.clientY - box.top) * per };
}

const within = (value, low, high) => Math.min(Math.max(value, low), high);

function valueAt(chart, svg, place) {
  const x = xOf(chart, svg);
  return x.value(within(place, x.start, x.end));
}

function point(chart, event) {
  if (!seen(chart)) return;
  const { svg, x, y } = placeOf(chart, event);
  if (chart.drag && Math.abs(x - chart.drag.x) > 6) return select(chart, svg, x);
  if (hasX(chart)) return moveTo(chart, valueAt(chart, svg, x));
  const rows = scale(endsOf(svg, "y"));
  moveTo(chart, within(Math.floor(rows.value(y)), 0, chart.told.rows.length - 1));
}

function press(chart, event) {
  if (event.pointerType === "mouse" && event.button === 0) {
    chart.drag = placeOf(chart, event);
    chart.box.setPointerCapture(event.pointerId);
  }
  point(chart, event);
}

function release(chart, event) {
  const { drag } = chart;
  const { svg, x } = placeOf(chart, event);
  chart.drag = null;
  svg.querySelector("g.select")?.remove();
  if (drag && Math.abs(x - drag.x) > 6) {
    const ends = [drag.x, x].map(place => valueAt(chart, svg, place));
    zoom(chart, [Math.min(...ends), Math.max(...ends)]);
  } else speak(chart);
}

function select(chart, svg, to) {
  const x = xOf(chart, svg);
  const { height } = svg.viewBox.baseVal;
  const [from, until] = [chart.drag.x, to].map(place => within(place, x.start, x.end)).sort((a, b) => a - b);
  svg.querySelector("g.select")?.remove();
  svg.append(draw("g", { class: "select" }, draw("rect", { x: from, y: 0, width: until - from, height })));
}

function onWheel(chart, event) {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const { svg, x } = placeOf(chart, event);
  zoomBy(chart, event.deltaY > 0 ? 1.25 : 0.8, valueAt(chart, svg, x));
}

// The ends of the axis to the right, where nothing is drawn larger.
function wholeOf(chart) {
  return endsOf(seen(chart) ?? chart.svgs[0], "x").slice(2);
}

// Draws a part of a share of what is seen, around a value: that of the cursor, or what is in the middle.
function zoomBy(chart, share, around) {
  const [from, to] = chart.zoom ?? wholeOf(chart);
  const isSeen = hasX(chart) && chart.at !== null && chart.at >= from && chart.at <= to;
  const centre = around ?? (isSeen ? chart.at : (from + to) / 2);
  zoom(chart, [centre - (centre - from) * share, centre + (to - centre) * share]);
}

function zoom(chart, ends) {
  const [min, max] = wholeOf(chart);
  const least = (max - min) * SMALLEST;
  let [from, to] = ends ?? [min, max];
  if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
  [from, to] = [Math.max(from, min), Math.min(to, max)];
  chart.zoom = to - from >= (max - min) * 0.999 ? null : [from, to];
  redraw(chart);
  show(chart);
  const unit = chart.told.units[0];
  spoken.textContent = chart.zoom ? `Shown from ${near(chart, from)} to ${withUnit(near(chart, to), unit)}` : "All is shown";
}

// A value with the digits that tell it from one a pixel away.
function near(chart, value) {
  const [from, to] = chart.zoom ?? wholeOf(chart);
  return value.toFixed(within(Math.ceil(-Math.log10((to - from) / 700)), 0, 9));
}

// Moves the cursor; `told` is the value's own text, if it is one of the table. Figures over the scenario's time follow.
function moveTo(chart, value, told = null) {
  chart.at = value;
  chart.toldAt = told;
  if (!chart.told.clock) return show(chart, true);
  const [origin, unit] = chart.told.clock;
  share(value === null ? null : origin + value * unit, chart);
}

function hideTips() {
  for (const chart of charts) chart.tip.hidden = true;
}

// The values at the cursor in words, a line each.
function lines(chart) {
  const [unit, of] = chart.told.units;
  if (!hasX(chart)) {
    const row = barsOf(chart)[chart.at];
    return [row.value ? `${row.name}: ${row.value}` : row.name, ...row.parts.map(one => partLine(one, unit))];
  }
  const x = chart.toldAt ?? near(chart, chart.at);
  const head = `at ${withUnit(x, unit)}`;
  if (chart.told.kind === "bars") {
    const parts = barsOf(chart).flatMap(row => row.parts).filter(one => chart.at >= one.from && chart.at <= one.to);
    return [head, ...parts.map(one => partLine(one, unit))];
  }
  return [head, ...seriesOf(chart).filter(isFirst).flatMap(series => seriesLine(series, chart.at, x, unit, of))];
}

// Of series of one column the first.
const isFirst = (series, i, all) => all.findIndex(other => other.column === series.column) === i;

function partLine({ name, from, to, told }, unit) {
  const length = String(Number((to - from).toFixed(9)));
  return `${name}: ${withUnit(length, unit)} (${told[0]} to ${told[1]})`;
}

function seriesLine(series, value, x, unit, of) {
  const points = pointsAt(series, value);
  if (!points.length) return [];
  const [first] = points;
  const values = points.slice(0, MOST_ALIKE).map(point => withUnit(point.told[1], of)).join(", ");
  const more = points.length > MOST_ALIKE ? ` and ${points.length - MOST_ALIKE} more` : "";
  const place = first.told[0] === x ? "" : ` ${series.shape === "steps" ? "since" : "at"} ${withUnit(first.told[0], unit)}`;
  return [`${series.name || "value"}: ${values}${more}${place}`];
}

function speak(chart) {
  spoken.textContent = chart.at === null ? "" : lines(chart).join("; ");
}

// Shows the cursor where it is, and with `isTold` the values there.
function show(chart, isTold = !chart.tip.hidden) {
  for (const svg of chart.svgs) svg.querySelector("g.cursor")?.remove();
  chart.tip.hidden = true;
  const svg = seen(chart);
  if (!svg || chart.at === null) return;
  const place = hasX(chart) ? crossAt(chart, svg) : rowAt(chart, svg);
  if (!place) return; // it is where nothing is drawn
  svg.append(place.cursor);
  if (!isTold) return;
  const box = svg.getBoundingClientRect();
  const per = box.width / svg.viewBox.baseVal.width;
  chart.tip.replaceChildren(...lines(chart).map(line => make("p", {}, line)));
  const isRight = place.x * per > box.width / 2;
  chart.tip.style.left = isRight ? "auto" : `${place.x * per + 12}px`;
  chart.tip.style.right = isRight ? `${box.width - place.x * per + 12}px` : "auto";
  chart.tip.style.maxWidth = `${Math.max(isRight ? place.x * per : box.width - place.x * per, 120) - 16}px`;
  chart.tip.style.top = `${place.y * per}px`;
  chart.tip.hidden = false;
}

function crossAt(chart, svg) {
  const x = xOf(chart, svg);
  if (!x.has(chart.at)) return null;
  const isPlot = chart.told.kind === "plot";
  const whole = scale(endsOf(svg, "y"), chart.told.y === "log");
  const y = isPlot && chart.zoom ? fittedY(chart, svg, x) : whole;
  const [top, bottom] = [Math.min(y.start, y.end), Math.max(y.start, y.end)];
  const cursor = draw("g", { class: "cursor" }, draw("path", { d: `M${at(x.at(chart.at), top)}V${tenth(bottom)}` }));
  for (const series of isPlot ? seriesOf(chart) : []) {
    const points = pointsAt(series, chart.at).filter(point => x.has(point.x) && y.has(point.y)).slice(0, MOST_ALIKE);
    for (const point of points) {
      cursor.append(draw("circle", { class: `r${series.colour}`, cx: tenth(x.at(point.x)), cy: tenth(y.at(point.y)), r: 6 }));
    }
  }
  return { cursor, x: x.at(chart.at), y: top };
}

function rowAt(chart, svg) {
  const rows = scale(endsOf(svg, "y"));
  const x = xOf(chart, svg);
  const row = { x: 1, y: rows.at(chart.at) + 1, width: svg.viewBox.baseVal.width - 2, height: rows.at(1) - rows.at(0) - 2 };
  return { cursor: draw("g", { class: "cursor" }, draw("rect", row)), x: x.start, y: rows.at(chart.at + 1) };
}

// Where keys lead: every x of a point, or both ends of every part; each with its own text.
function stopsOf(chart) {
  if (chart.stops) return chart.stops;
  const points = () => seriesOf(chart).flatMap(series => series.points.map(point => [point.x, point.told[0]]));
  const ends = () => barsOf(chart).flatMap(row => row.parts).flatMap(one => [[one.from, one.told[0]], [one.to, one.told[1]]]);
  const all = new Map(chart.told.kind === "plot" ? points() : ends());
  chart.stops = [...all].sort((a, b) => a[0] - b[0]);
  return chart.stops;
}

// Steps to a further stop, or row; of a chart without a cursor to the first or the last one that is seen.
function step(chart, by) {
  if (!hasX(chart)) {
    const last = chart.told.rows.length - 1;
    return moveTo(chart, within(chart.at === null ? 0 : chart.at + by, 0, last));
  }
  const stops = stopsOf(chart);
  if (!stops.length) return;
  const [from, to] = chart.zoom ?? wholeOf(chart);
  const start = chart.at ?? (by > 0 ? from : to);
  const before = countUpTo(stops, start, stop => (stop[0] < start || (chart.at === null && by < 0) ? stop[0] : Infinity));
  const upTo = countUpTo(stops, start, stop => stop[0]);
  // Forwards from what is at the cursor, backwards from what is before it.
  const next = by > 0 ? (chart.at === null ? before : upTo) + by - 1 : before + by;
  const [value, told] = stops[within(next, 0, stops.length - 1)];
  moveTo(chart, value, told);
  follow(chart);
}

// Shifts what is drawn larger to where the cursor is.
function follow(chart) {
  if (!chart.zoom || (chart.at >= chart.zoom[0] && chart.at <= chart.zoom[1])) return;
  const half = (chart.zoom[1] - chart.zoom[0]) / 2;
  zoom(chart, [chart.at - half, chart.at + half]);
  show(chart, true);
}

function onKey(chart, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !seen(chart)) return;
  const by = event.shiftKey ? 10 : 1;
  const many = Number.MAX_SAFE_INTEGER;
  const acts = {
    ArrowRight: () => step(chart, by),
    ArrowLeft: () => step(chart, -by),
    ArrowDown: hasX(chart) ? null : () => step(chart, by),
    ArrowUp: hasX(chart) ? null : () => step(chart, -by),
    Home: () => step(chart, -many),
    End: () => step(chart, many),
    "+": () => zoomBy(chart, 0.5),
    "=": () => zoomBy(chart, 0.5),
    "-": () => zoomBy(chart, 2),
    0: () => zoom(chart, null),
    Escape: () => moveTo(chart, null),
  };
  const act = acts[event.key];
  if (!act) return;
  event.preventDefault();
  pointer.last = false;
  act();
  if (!/^[-+=0]$/.test(event.key)) speak(chart);
}
