// A part of a figure, drawn larger: its points, lines and bars again, over axes of their own.

const FEW = 200; // so few dots are drawn larger
const CLIP = { count: 0 };

const tenth = value => String(Math.round(value * 10) / 10);
const at = (x, y) => `${tenth(x)} ${tenth(y)}`;

// What `zoom` of a chart shows in a drawing, in place of what stands there.
function part(chart, svg) {
  const x = xOf(chart, svg);
  const y = chart.told.kind === "plot" ? fittedY(chart, svg, x) : scale(endsOf(svg, "y"));
  const [top, bottom] = [Math.min(y.start, y.end), Math.max(y.start, y.end)];
  CLIP.count += 1;
  const id = `clip-${CLIP.count}`;
  const frame = draw("rect", { x: x.start, y: top, width: x.end - x.start, height: bottom - top });
  const inside = draw("g", { "clip-path": `url(#${id})` });
  const group = draw("g", { class: "part" }, draw("clipPath", { id }, frame));
  for (const [from, to] of chart.told.shades ?? []) inside.append(shade(x, from, to, top, bottom));
  const axis = ticks(x.min, x.max, x.end - x.start < 450 ? 6 : 11);
  const isPlot = chart.told.kind === "plot";
  axis.at.forEach((value, i) => {
    const d = isPlot ? `M${at(x.at(value), bottom)}v4` : `M${at(x.at(value), top)}V${tenth(bottom)}`;
    const below = { class: "soft", x: tenth(x.at(value)), y: bottom + (isPlot ? 17 : 16), "text-anchor": "middle" };
    group.append(draw("path", { class: isPlot ? "axis" : "grid", d }), draw("text", below, axis.labels[i]));
  });
  if (isPlot) group.append(...gridOf(chart, x, y));
  group.append(draw("path", { class: "axis", d: `M${at(x.start, top)}V${tenth(bottom)}H${tenth(x.end)}` }), inside);
  if (isPlot) for (const series of seriesOf(chart)) inside.append(...drawn(series, x, y));
  else inside.append(...drawnBars(chart, x, y));
  group.append(...marksOf(chart, x, y, top, bottom));
  return group;
}

function shade(x, from, to, top, bottom) {
  const width = Math.max(x.at(to) - x.at(from), 0.5);
  return draw("rect", { class: "shade", x: x.at(from), y: top, width, height: bottom - top });
}

// The axis upwards around the points that are seen, unless it is one of fixed ends or of ratios.
function fittedY(chart, svg, x) {
  const whole = scale(endsOf(svg, "y"), chart.told.y === "log");
  if (chart.told.y === "log" || chart.told.y === "fixed") return whole;
  const values = seriesOf(chart).flatMap(series => {
    const inside = series.points.filter(point => x.has(point.x) && !Number.isNaN(point.y)).map(point => point.y);
    const holds = series.shape === "steps" ? pointsAt(series, x.min).filter(point => !Number.isNaN(point.y)) : [];
    return inside.concat(holds.map(point => point.y));
  });
  if (!values.length) return whole;
  let [low, high] = values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  if (high - low <= Math.abs(high) * 1e-9) [low, high] = [low - Math.abs(low) * 0.1 - 0.5, high + Math.abs(high) * 0.1 + 0.5];
  const { step } = ticks(low, high, 7, chart.told.y === "whole" ? 1 : 0);
  return scale([whole.start, whole.end, Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step]);
}

function gridOf(chart, x, y) {
  const isLog = chart.told.y === "log";
  const powers = () => {
    const first = Math.round(Math.log10(y.min)), last = Math.round(Math.log10(y.max));
    const all = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
    return { at: all, labels: all.map(value => label(value, Math.max(-first, 0))) };
  };
  const axis = isLog ? powers() : ticks(y.min, y.max, 7, chart.told.y === "whole" ? 1 : 0);
  return axis.at.flatMap((value, i) => [
    draw("path", { class: "grid", d: `M${at(x.start, y.at(value))}H${tenth(x.end)}` }),
    draw("text", { class: "soft", x: tenth(x.start - 5), y: tenth(y.at(value) + 4), "text-anchor": "end" }, axis.labels[i]),
  ]);
}

function drawn(series, x, y) {
  const { shape, colour } = series;
  const place = point => [x.at(point.x), y.at(point.y)];
  const isJoined = ["line", "dashes", "joined", "steps"].includes(shape);
  const elements = [];
  if (isJoined) {
    // With the ones before and behind, to which lines lead.
    const first = Math.max(countUpTo(series.points, x.min, point => point.x) - 1, 0);
    const points = series.points.slice(first, countUpTo(series.points, x.max, point => point.x) + 1);
    elements.push(draw("path", { class: `${shape === "dashes" ? "dashed " : ""}l${colour}`, d: joined(points, shape === "steps", place) }));
  }
  if (shape === "line" || shape === "dashes" || shape === "steps") return elements;
  const inside = series.points.filter(point => x.has(point.x));
  if (shape === "dots") {
    const d = inside.map(point => `M${at(...place(point))}h0`).join("");
    return [draw("path", { class: inside.length > FEW ? `d${colour}` : `d${colour} few`, d })];
  }
  return elements.concat(inside.map(point => symbol(shape, colour, ...place(point))));
}

// A value that is none interrupts a line; a step lasts until there.
function joined(points, isSteps, place) {
  let d = "", isDrawing = false;
  for (const point of points) {
    const [px, py] = place(point);
    const isGap = Number.isNaN(point.y);
    if (isDrawing && isSteps) d += isGap ? `H${tenth(px)}` : `H${tenth(px)}V${tenth(py)}`;
    else if (!isGap) d += `${isDrawing ? "L" : "M"}${at(px, py)}`;
    isDrawing = !isGap;
  }
  return d;
}

function symbol(shape, colour, x, y) {
  if (shape === "rings") return draw("circle", { class: `r${colour}`, cx: tenth(x), cy: tenth(y), r: 4.5 });
  if (shape === "crosses") return draw("path", { class: "bad", d: `M${at(x - 4, y - 4)}l8 8m0-8l-8 8` });
  return draw("path", { class: `f${colour}`, d: `M${at(x, y - 6)}l5 6l-5 6l-5-6z` });
}

function drawnBars(chart, x, y) {
  const { shade: span } = chart.told;
  const [top, bottom] = [y.start, y.end];
  const elements = span ? [shade(x, ...span, top, bottom)] : [];
  barsOf(chart).forEach((row, i) => {
    for (const { colour, from, to } of row.parts) {
      const width = Math.max(x.at(to) - x.at(from), 1);
      elements.push(draw("rect", { class: `f${colour}`, x: tenth(x.at(from)), y: y.at(i) + 4, width: tenth(width), height: 14 }));
    }
  });
  return elements;
}

// Lines across, with their texts if those fit.
function marksOf(chart, x, y, top, bottom) {
  const across = (chart.told.horizontals ?? []).filter(([value]) => y.has(value)).flatMap(([value, text]) => [
    draw("path", { class: "mark", d: `M${at(x.start, y.at(value))}H${tenth(x.end)}` }),
    draw("text", { class: "soft halo", x: tenth(x.end - 3), y: tenth(y.at(value) - 5), "text-anchor": "end" }, text),
  ]);
  const marks = (chart.told.verticals ?? chart.told.marks ?? []).filter(([value]) => x.has(value));
  const upright = marks.flatMap(([value, text], i) => {
    const isRight = x.at(value) > (x.start + x.end) / 2;
    const place = { x: tenth(x.at(value) + (isRight ? -4 : 4)), y: tenth(top + 12 + 14 * (i % 3)) };
    return [
      draw("path", { class: "mark", d: `M${at(x.at(value), top)}V${tenth(bottom)}` }),
      draw("text", { class: "soft halo", ...place, "text-anchor": isRight ? "end" : "start" }, text),
    ];
  });
  return across.concat(upright);
}

// Draws the chart anew after its `zoom` has become another one.
function redraw(chart) {
  for (const svg of chart.svgs) {
    const area = svg.querySelector("g.area");
    svg.querySelector("g.part")?.remove();
    area.style.display = chart.zoom ? "none" : "";
    if (chart.zoom) area.after(part(chart, svg));
  }
}
