// Puts the views together.

const data = JSON.parse(byId("data").textContent);
let image;
let boxes = [];
let chosen;
let zoomed = 0;

const treemap = makeTreemap(byId("treemap"), {
  onshow: (object) => showDetails(object || chosen),
  onchoose: (object) => {
    chosen = object;
    showDetails(object);
  },
});
const why = makeWhyView({
  search: byId("search"),
  found: byId("found"),
  matches: byId("matches"),
  reasons: byId("reasons"),
});
const compare = makeCompareView(byId("difference"), data);

function fact(name, ...value) {
  return [element("dt", {}, name), element("dd", {}, ...value)];
}

function showDetails({ member, layer, number }) {
  const all = boxes.reduce((sum, box) => sum + box.size, 0);
  const members = layer.members.length;
  byId("details").replaceChildren(
    element("h3", {}, member.name),
    element(
      "dl",
      {},
      fact("Kind", kindText(kindOf(member.name))),
      member.version ? fact("Version", member.version) : "",
      fact(
        "Unpacked",
        size(member.size),
        `, ${((member.size / all) * 100).toFixed(1)} % of the image`,
      ),
      member.files === undefined ? "" : fact("Files", String(member.files)),
      fact(
        "Layer",
        `${number} of ${image.layers.length}`,
        members > 1 ? `, with ${plural(members - 1, "other")}` : "",
      ),
      fact("Layer to pull", size(layer.size)),
      fact("Together because", layer.reason),
      layer.shared_with.length ? fact("Shared with", layer.shared_with.join(", ")) : "",
      layer.changed === null
        ? ""
        : fact("Last build", layer.changed ? "did not have this layer" : "had this layer"),
    ),
    element(
      "p",
      { class: "actions" },
      members
        ? button("Why is this here?", () => {
            why.choose(member.name);
            byId("why").scrollIntoView();
          })
        : "",
      members > 1 && zoomed !== number ? button(`Only layer ${number}`, () => zoomTo(number)) : "",
    ),
  );
}

/** Shows one layer in the treemap, or all of them for 0. */
function zoom(number) {
  zoomed = number;
  const shown = number ? boxes.filter((box) => box.number === number) : boxes;
  chosen = number && chosen.number === number ? chosen : shown[0].objects[0];
  byId("crumbs").replaceChildren(
    number ? button("← All layers", () => zoomTo(0)) : "",
    element(
      "span",
      {},
      number ? `Layer ${number}: ` : "All layers: ",
      plural(
        shown.reduce((sum, box) => sum + box.objects.length, 0),
        "object",
      ),
      ", ",
      size(shown.reduce((sum, box) => sum + box.size, 0)),
    ),
  );
  treemap.show(shown, chosen.key);
  showDetails(chosen);
}

function zoomTo(number) {
  zoom(number);
  treemap.focus();
}

function showLegend() {
  const kinds = new Set(
    boxes.flatMap((box) => box.objects.map(({ member }) => kindOf(member.name))),
  );
  byId("legend").replaceChildren(
    ...[...kinds]
      .sort()
      .map((kind) =>
        element(
          "li",
          {},
          element("span", { class: `swatch kind-${kind}`, "aria-hidden": "true" }),
          kindText(kind),
        ),
      ),
  );
}

function showImage(address) {
  image = data.images[address];
  boxes = boxesOf(image);
  byId("title").textContent = address;
  byId("tags").textContent = image.references.join(", ");
  const objects = image.layers.reduce((sum, layer) => sum + layer.members.length, 0);
  const unpacked = boxes.reduce((sum, box) => sum + box.size, 0);
  byId("facts").replaceChildren(
    ...fact("Layers", String(image.layers.length)),
    ...fact("Objects", String(objects)),
    ...fact("To pull", size(image.size)),
    ...fact("Unpacked", size(unpacked)),
  );
  byId("map").hidden = !boxes.length;
  if (boxes.length) {
    showLegend();
    zoom(0);
  }
  why.show(image);
  compare.show(address);
  for (const table of document.querySelectorAll("table.layers")) {
    table.hidden = table.dataset.image !== address;
  }
}

for (const hidden of document.querySelectorAll("nav, section, #facts")) hidden.hidden = false;
const addresses = Object.keys(data.images);
const picker = byId("image");
picker.append(...addresses.map((address) => element("option", { value: address }, address)));
picker.addEventListener("change", () => showImage(picker.value));
byId("picker").hidden = addresses.length < 2;
// Whoever has just changed something wants to see that.
const changed = addresses.find((address) =>
  data.images[address].layers.some((layer) => layer.changed),
);
picker.value = changed || addresses[0];
showImage(picker.value);
