// "What changed?": two images, or an image and its last build.

const CHANGES = {
  changed: ["~", "changed"],
  added: ["+", "added"],
  removed: ["−", "removed"],
  again: ["=", "pushed again"],
};

const total = (layers) => layers.reduce((sum, layer) => sum + layer.size, 0);

/** A view in `container` of all images and last builds of `data`. */
function makeCompareView(container, data) {
  const builds = new Map();
  for (const address of Object.keys(data.images)) builds.set(address, data.images[address]);
  for (const address of Object.keys(data.before)) {
    builds.set(`${address} (last build)`, data.before[address]);
  }
  const names = [...builds.keys()];
  if (names.length < 2) {
    container.append(
      element(
        "p",
        {},
        "There is nothing to compare with. Build the image with ",
        element("code", {}, "package"),
        " before a change, or give several images to ",
        element("code", {}, "layers --html"),
        ".",
      ),
    );
    return { show() {} };
  }
  const choice = (id) =>
    element(
      "select",
      { id, onchange: draw },
      names.map((name) => element("option", { value: name }, name)),
    );
  const [wanted, held] = [choice("wanted"), choice("held")];
  const result = element("div", { id: "result", role: "status" });
  container.append(
    element(
      "div",
      { class: "choices" },
      element("label", {}, "To push ", wanted),
      element("label", {}, "to a registry that has ", held),
    ),
    result,
  );

  function layerRow({ layer, number }) {
    const named = layer.members.map((member) => member.name);
    const text =
      named.slice(0, 4).join(", ") + (named.length > 4 ? ` and ${named.length - 4} more` : "");
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, String(number)),
      element("td", {}, text || "a layer of the base image"),
      element("td", { class: "number" }, size(layer.size)),
    );
  }

  function objectRow({ name, change, from, to, bytes }) {
    const versions =
      from && to && from.version !== to.version
        ? `${from.version || "none"} → ${to.version || "none"}`
        : (to || from).version;
    return element(
      "tr",
      { class: `change-${change}`, "data-name": name, "data-change": change },
      element("th", { scope: "row" }, name, element("span", { class: "quiet" }, ` ${versions}`)),
      element(
        "td",
        { class: "change" },
        element("span", { class: "sign", "aria-hidden": "true" }, CHANGES[change][0]),
        CHANGES[change][1],
      ),
      element(
        "td",
        { class: "number" },
        change === "again" || !bytes ? size(to.size) : sizeChange(bytes),
      ),
    );
  }

  const table = (id, caption, heads, rows) =>
    element(
      "table",
      { id },
      element("caption", {}, caption),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          heads.map((head, index) =>
            element("th", { scope: "col", class: index === 2 && "number" }, head),
          ),
        ),
      ),
      element("tbody", {}, rows),
    );

  function draw() {
    const image = builds.get(wanted.value);
    const { pushed, unpacked, objects } = differenceOf(image, builds.get(held.value));
    const bytes = total(pushed.map(({ layer }) => layer));
    const all = total(image.layers);
    const bar = element(
      "div",
      { class: bytes ? "bar some" : "bar", "aria-hidden": "true" },
      element("div", {}),
    );
    bar.firstChild.style.width = `${all ? (bytes / all) * 100 : 0}%`;
    const counts = Object.keys(CHANGES)
      .map((change) => [
        objects.filter((object) => object.change === change).length,
        CHANGES[change][1],
      ])
      .filter(([count]) => count)
      .map(([count, text]) => `${count} ${text}`);
    result.replaceChildren(
      element(
        "p",
        { class: "verdict" },
        element("strong", { id: "pushed" }, size(bytes)),
        pushed.length
          ? ` in ${plural(pushed.length, "layer")} would be sent, of `
          : " would be sent: of ",
        size(all),
        ` in ${plural(image.layers.length, "layer")}`,
        pushed.length ? "." : ", all are there.",
      ),
      bar,
      unpacked.length
        ? element(
            "p",
            {},
            "A machine that has unpacked that image fetches the same, and unpacks ",
            element("strong", { id: "unpacked" }, plural(unpacked.length, "layer")),
            ": the lowest that differs and all above it.",
          )
        : "",
      element(
        "p",
        { id: "counts" },
        counts.length ? `Objects: ${counts.join(", ")}.` : "Objects: all as they were.",
      ),
      pushed.length
        ? table(
            "pushed-layers",
            "Layers to push, the top one first",
            ["Layer", "Objects", "Size"],
            pushed.map(layerRow),
          )
        : "",
      objects.length
        ? table(
            "changed-objects",
            "Objects; what is pushed again is as it was, in a layer that is not",
            ["Object", "Change", "Size"],
            objects.map(objectRow),
          )
        : "",
    );
  }

  return {
    /** Compares the image of `address` with its last build, or else with another image. */
    show(address) {
      const last = `${address} (last build)`;
      wanted.value = address;
      held.value = builds.has(last) ? last : names.find((name) => name !== address);
      draw();
    },
  };
}
