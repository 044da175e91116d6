// Elements, sizes and kinds. Text from reports only ever becomes text nodes and attributes.

const byId = (id) => document.getElementById(id);

/** An element with properties (`class`, `on…`, `data-…`, `aria-…`, others) and children. */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== ""));
  return node;
}

const button = (text, onclick, properties = {}) =>
  element("button", { type: "button", onclick, ...properties }, text);

/** Bytes with a decimal unit, as the tables have them. */
function sizeText(count) {
  if (count < 1000) return `${count} B`;
  let value = count / 1000;
  const units = ["kB", "MB", "GB"];
  while (value >= 1000 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${value.toFixed(1)} ${units[0]}`;
}

/** A size that has its exact number of bytes in it. */
const size = (count) => element("data", { value: count, title: `${count} bytes` }, sizeText(count));

/** A size with its sign in front: the difference of two. */
const sizeChange = (count) =>
  element("data", { value: count }, `${count < 0 ? "−" : "+"}${sizeText(Math.abs(count))}`);

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// Names begin with their kind. What is no kind of ours, from whatever provider, is "other".
const KINDS = {
  debian: "Debian package",
  python: "Python distribution",
  source: "first-party code",
  customisation: "links and declared entries",
  certificates: "certificates",
  package: "packaged artifact",
  file: "file",
  files: "files",
  base: "layer of a base image",
};

function kindOf(name) {
  const kind = name.split(":", 1)[0];
  return Object.prototype.hasOwnProperty.call(KINDS, kind) ? kind : "other";
}

const kindText = (kind) => KINDS[kind] || "other";

/** A name without its kind, where there is little room. */
const shortName = (name) => name.slice(name.indexOf(":") + 1);
