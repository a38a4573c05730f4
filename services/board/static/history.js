// The step line: confirmed and projected score, and a mark for each report.
import { colour, onSchemeChange } from "./colours.js";

const CHART_HEIGHT = 300;
let chart;

function nearest(events, x, chartNow) {
  let best = null;
  for (const event of events) {
    const distance = Math.abs(chartNow.valToPos(event.at, "x") - x);
    if (distance < 14 && (!best || distance < best.distance)) best = { event, distance };
  }
  return best?.event;
}

function marks(events) {
  return (u) => {
    u.ctx.save();
    u.ctx.fillStyle = colour("dim");
    for (const { at } of events) {
      const x = u.valToPos(at, "x", true);
      const y = u.bbox.top + u.bbox.height;
      u.ctx.beginPath();
      u.ctx.moveTo(x, y - 9 * devicePixelRatio);
      u.ctx.lineTo(x - 4 * devicePixelRatio, y);
      u.ctx.lineTo(x + 4 * devicePixelRatio, y);
      u.ctx.fill();
    }
    u.ctx.restore();
  };
}

function tell(events) {
  const place = document.querySelector("#line-event");
  const idle = place.textContent;
  const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  return (u) => {
    const event = u.cursor.left >= 0 ? nearest(events, u.cursor.left, u) : null;
    place.textContent = event ? `${date.format(event.at * 1000)}: ${event.text.join("; ")}` : idle;
  };
}

function draw() {
  const place = document.querySelector("#line");
  if (!place) return;
  const { first, times, confirmed, projected, events } = JSON.parse(document.querySelector("#line-data").textContent);
  chart?.destroy();
  place.textContent = "";
  const stepped = uPlot.paths.stepped({ align: 1 });
  const points = { show: false };
  const value = (_, found) => (found == null ? "not rated" : found.toFixed(1));
  const axis = { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, font: "12px system-ui" };
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const days = { ...axis, space: 110, values: (_, at) => at.map((seconds) => day.format(seconds * 1000)) };
  chart = new uPlot(
    {
      width: place.clientWidth - 16,
      height: CHART_HEIGHT,
      scales: { x: { range: first == null ? undefined : (_, from, to) => (from > times[0] ? [from, to] : [Math.max(from, first - 0.06 * (to - first)), to]) }, y: { range: [0, 102] } },
      axes: [days, { ...axis, size: 42 }],
      series: [
        { label: "Time" },
        { label: "Projected", stroke: colour("warn"), width: 1.5, dash: [4, 3], paths: stepped, points, value },
        { label: "Confirmed", stroke: colour("link"), width: 2, paths: stepped, points, value },
      ],
      hooks: { draw: [marks(events)], setCursor: [tell(events)] },
    },
    [times, projected, confirmed],
    place,
  );
}

draw();
onSchemeChange(draw);
document.addEventListener("board:refreshed", draw);
addEventListener("resize", () => chart?.setSize({ width: document.querySelector("#line").clientWidth - 16, height: CHART_HEIGHT }));
