// The ownership graph: holders above what they hold; colours tell equity, votes and control, dashes what is not certain.
import { colour, onSchemeChange } from "./colours.js";
import cytoscape from "./vendor/cytoscape.js";
import dagre from "./vendor/cytoscape-dagre.js";

cytoscape.use(dagre);
const DASHES = { announced: [9, 4], rumoured: [2, 4] };
let graph;

function style() {
  const text = { color: colour("ink"), "font-family": "system-ui, sans-serif", "font-size": 11 };
  const edge = (aspect) => ({
    selector: `edge[aspect = "${aspect}"]`,
    style: { "line-color": colour(aspect), "target-arrow-color": colour(aspect) },
  });
  return [
    {
      selector: "node",
      style: {
        ...text, label: "data(name)", shape: "round-rectangle", width: 118, height: 30, "text-valign": "center", "text-wrap": "ellipsis",
        "text-max-width": 108, "background-color": colour("nr"), "border-width": 1, "border-color": colour("dim"),
      },
    },
    { selector: 'node[kind = "lab"]', style: { "border-width": 2.5, "border-color": colour("link"), "font-weight": 600 } },
    { selector: 'node[kind = "vendor"]', style: { "background-color": colour("bar"), color: "#fff", "font-weight": 600 } },
    {
      selector: "edge",
      style: {
        ...text, label: "data(label)", "font-size": 10, width: 2, "curve-style": "bezier", "target-arrow-shape": "triangle", "arrow-scale": 0.8,
        "text-background-color": colour("card"), "text-background-opacity": 0.9, "text-background-padding": 1,
      },
    },
    edge("equity"), edge("votes"), edge("control"),
    ...Object.entries(DASHES).map(([status, dashes]) => ({
      selector: `edge[status = "${status}"]`,
      style: { "line-style": "dashed", "line-dash-pattern": dashes },
    })),
    { selector: ".far", style: { opacity: 0.15 } },
  ];
}

function draw() {
  const place = document.querySelector("#graph");
  if (!place) return;
  const { nodes, edges } = JSON.parse(document.querySelector("#graph-data").textContent);
  graph?.destroy();
  place.classList.toggle("small", nodes.length <= 12);
  graph = cytoscape({
    container: place,
    elements: [
      ...nodes.map((data) => ({ data })),
      ...edges.map(({ from, to, ...data }) => ({ data: { ...data, source: from, target: to } })),
    ],
    style: style(),
    layout: { name: "dagre", rankDir: "TB", nodeSep: 18, rankSep: 70, fit: true, padding: 24 },
    minZoom: 0.1,
    maxZoom: 2.5,
  });
  if (graph.zoom() > 1.3) graph.zoom({ level: 1.3, renderedPosition: { x: place.clientWidth / 2, y: place.clientHeight / 2 } }).center();
  // who is pointed at is shown with all through whom it reaches the vendor
  graph.on("mouseover tap", "node", ({ target }) => {
    const near = target.successors().union(target.predecessors()).union(target);
    graph.elements().addClass("far");
    near.removeClass("far");
  });
  graph.on("mouseout", "node", () => graph.elements().removeClass("far"));
  graph.on("tap", ({ target }) => target === graph && graph.elements().removeClass("far"));
  place.dataset.drawn = graph.nodes().length;
}

draw();
onSchemeChange(draw);
document.addEventListener("board:refreshed", draw);
