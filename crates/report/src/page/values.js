// Figures and their values. The table below a figure has what is drawn; what is told of a value are its own digits there.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and what is in it: texts, or other elements. Nothing is ever read as markup.
function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Comma-separated values (RFC 4180) as rows of cells.
function rowsOf(text) {
  const rows = [[""]];
  let isQuoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    const row = rows[rows.length - 1];
    if (character === '"' && isQuoted && text[i + 1] === '"') i += 1;
    else if (character === '"') {
      isQuoted = !isQuoted;
      continue;
    } else if (!isQuoted && character === ",") {
      row.push("");
      continue;
    } else if (!isQuoted && character === "\n") {
      rows.push([""]);
      continue;
    }
    row[row.length - 1] += character;
  }
  rows.pop(); // behind the last line feed
  return rows;
}

function tableOf(chart) {
  chart.table ??= rowsOf(chart.figure.querySelector(".values pre").textContent);
  return chart.table;
}

// Of a plot its series with their points, in the order of x.
function seriesOf(chart) {
  chart.series ??= chart.told.series.map(([shape, colour, column]) => {
    const [heads, ...rows] = tableOf(chart);
    const unit = chart.told.units[1] && ` (${chart.told.units[1]})`;
    const points = rows.filter(row => row[column] !== "");
    return {
      // Its unit stands behind its values.
      name: unit && heads[column].endsWith(unit) ? heads[column].slice(0, -unit.length) : heads[column],
      shape,
      colour,
      column,
      points: points.map(row => ({ x: Number(row[0]), y: Number(row[column]), told: [row[0], row[column]] })),
    };
  });
  return chart.series;
}

// Of bars their rows with their parts.
function barsOf(chart) {
  if (chart.bars) return chart.bars;
  const cells = tableOf(chart).slice(1);
  let next = 0;
  chart.bars = chart.told.rows.map(([name, value, colours]) => ({
    name,
    value,
    parts: colours.map(colour => {
      const [, part, from, to] = cells[next++];
      return { colour, name: part, from: Number(from), to: Number(to), told: [from, to] };
    }),
  }));
  return chart.bars;
}

// How many of `items`, which are in the order of `of`, are at most `value`.
function countUpTo(items, value, of = item => item) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(items[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The points that tell a series' value at x: the nearest ones; of steps the last one before, whose value holds.
function pointsAt(series, x) {
  const { points } = series;
  const next = countUpTo(points, x, point => point.x);
  const before = points[next - 1], after = points[next];
  if (series.shape === "steps") return before ? [before] : [];
  const isBefore = before && (!after || x - before.x <= after.x - x);
  const nearest = isBefore ? before : after;
  if (!nearest) return [];
  const first = countUpTo(points, nearest.x, point => (point.x < nearest.x ? point.x : Infinity));
  const alike = points.slice(first, countUpTo(points, nearest.x, point => point.x));
  const values = alike.filter(point => !Number.isNaN(point.y));
  return values.length ? values : alike.slice(0, 1);
}

// A value with its unit.
function withUnit(told, unit) {
  if (told === "NaN") return "none";
  return unit ? `${told} ${unit}` : told;
}

// From values to places along an axis, and back; `isLog`: equal ratios are equally long.
function scale([start, end, min, max], isLog = false) {
  const of = value => (isLog ? Math.log10(Math.max(value, min)) : value);
  const span = of(max) - of(min);
  return {
    start, end, min, max,
    at: value => start + ((of(value) - of(min)) / span) * (end - start),
    value: place => min + ((place - start) / (end - start)) * (max - min),
    has: value => value >= min && value <= max,
  };
}

// The ends of an axis of a drawing, as its attribute has them.
function endsOf(svg, axis) {
  return svg.dataset[axis].split(" ").map(Number);
}

// The axis to the right of a drawing; of a part, if one is drawn larger.
function xOf(chart, svg) {
  const [start, end, min, max] = endsOf(svg, "x");
  return scale([start, end, ...(chart.zoom ?? [min, max])]);
}

// The drawing that is seen: that for screens, or that for telephones.
function seen(chart) {
  return chart.svgs.find(svg => svg.getBoundingClientRect().width > 0);
}

// Round values from `min` to `max`, at ones, twos and fives, `count` at most and not nearer than `least`; and their labels.
function ticks(min, max, count, least = 0) {
  const rough = (max - min) / (count - 2);
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find(factor => factor * power >= rough * (1 - 1e-9)) ?? 10;
  const step = Math.max(factor * power, least);
  const first = Math.ceil(min / step - 1e-9), last = Math.floor(max / step + 1e-9);
  const decimals = Math.min(Math.max(Math.ceil(-Math.log10(step) - 1e-9), 0), 12);
  const at = Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => (first + i) * step);
  return { step, at, labels: at.map(value => label(value, decimals)) };
}

// A number with so many decimals and a thin gap between groups of thousands, as the drawings have it.
function label(value, decimals) {
  const [whole, rest] = Math.abs(value).toFixed(decimals).split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u2009") : whole;
  const text = rest ? `${grouped}.${rest}` : grouped;
  return value < 0 && /[1-9]/.test(text) ? `-${text}` : text;
}
