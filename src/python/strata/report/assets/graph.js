// The part of the closure graph around one object, drawn in rows from the roots down.

/**
 * Rows of `{kind, name}` and edges of two keys: `paths` from their addresses to their common end,
 * and `below`, what that refers to. All edges lead downwards.
 */
function rowsOf(paths, below) {
  const end = paths[0][paths[0].length - 1];
  const depths = new Map();
  const edges = new Map();
  const last = Math.max(...paths.map((path) => path.length)) - 1;
  for (const path of paths) {
    path.forEach((name, index) => {
      const key = index ? `object ${name}` : `address ${name}`;
      // Ways are shortest, so an object has one depth; the end is below all.
      depths.set(key, {
        name,
        isAddress: index === 0,
        depth: name === end && index ? last : index,
      });
      if (!index) return;
      const before = `${index === 1 ? "address" : "object"} ${path[index - 1]}`;
      const edge = `${before} → ${key}`;
      if (!edges.has(edge)) edges.set(edge, { from: before, to: key, first: path === paths[0] });
    });
  }
  for (const name of below) {
    const key = `object ${name}`;
    if (depths.has(key)) continue;
    depths.set(key, { name, isAddress: false, depth: last + 1 });
    edges.set(key, { from: `object ${end}`, to: key, first: false });
  }
  const rows = [];
  for (const [key, node] of depths)
    (rows[node.depth] = rows[node.depth] || []).push({ key, ...node });
  return { rows: rows.filter(Boolean), edges: [...edges.values()], end };
}

const SVG = "http://www.w3.org/2000/svg";

function drawing(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** A figure of `rowsOf`; a chosen object is told to `onchoose`. */
function graphFigure(paths, below, onchoose) {
  const { rows, edges, end } = rowsOf(paths, below);
  const nodes = new Map();
  const lines = drawing("svg", { "aria-hidden": "true" });
  const figure = element(
    "div",
    { class: "graph", role: "group", "aria-label": `The closure around ${end}` },
    lines,
    rows.map((row) =>
      element(
        "div",
        { class: "row" },
        row.map(({ key, name, isAddress }) => {
          const node = isAddress
            ? element("span", { class: "node address" }, name)
            : button(name, () => onchoose(name), {
                class: `node kind-${kindOf(name)}`,
                "aria-current": name === end && "true",
              });
          nodes.set(key, node);
          return node;
        }),
      ),
    ),
  );
  function draw() {
    const frame = figure.getBoundingClientRect();
    lines.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    lines.replaceChildren(
      ...edges.map(({ from, to, first }) => {
        const [a, b] = [from, to].map((key) => nodes.get(key).getBoundingClientRect());
        const [x1, y1] = [a.left + a.width / 2 - frame.left, a.bottom - frame.top];
        const [x2, y2] = [b.left + b.width / 2 - frame.left, b.top - frame.top];
        const bend = Math.max(12, (y2 - y1) / 2);
        return drawing("path", {
          class: first ? "edge first" : "edge",
          d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`,
        });
      }),
    );
  }
  new ResizeObserver(draw).observe(figure);
  return figure;
}
