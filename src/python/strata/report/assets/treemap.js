// The treemap: boxes for layers, and in them boxes for their objects.

/** The boxes of an image: its layers by size, each with its objects by size. */
function boxesOf(image) {
  return image.layers
    .map((layer, index) => {
      const members = layer.members.length
        ? layer.members
        : [
            {
              name: "base: a layer of the base image",
              version: "",
              size: layer.uncompressed_size || layer.size,
            },
          ];
      const objects = members
        .filter((member) => member.size > 0)
        .map((member) => ({ key: `${index} ${member.name}`, member, layer, number: index + 1 }))
        .sort((a, b) => b.member.size - a.member.size || (a.key < b.key ? -1 : 1));
      const total = objects.reduce((sum, object) => sum + object.member.size, 0);
      return { layer, number: index + 1, objects, size: total };
    })
    .filter((box) => box.size > 0)
    .sort((a, b) => b.size - a.size || a.number - b.number);
}

/** A treemap in `container`. `onshow` is told of the object to show, `onchoose` of a chosen one. */
function makeTreemap(container, { onshow, onchoose }) {
  let boxes = [];
  let chosen = "";
  let cells = [];
  let drawn = "";

  function place(node, { x, y, width, height }, outerWidth, outerHeight) {
    node.style.left = `${(x / outerWidth) * 100}%`;
    node.style.top = `${(y / outerHeight) * 100}%`;
    node.style.width = `${(width / outerWidth) * 100}%`;
    node.style.height = `${(height / outerHeight) * 100}%`;
  }

  function cell(object, rectangle, total) {
    const { member, number } = object;
    const share = ((member.size / total) * 100).toFixed(1);
    const text = `${member.name} ${member.version}`.trim();
    const node = button("", () => choose(object), {
      class: `cell kind-${kindOf(member.name)}`,
      tabindex: "-1",
      "aria-label": `${text}, ${sizeText(member.size)}, ${share} %, layer ${number}`,
      "aria-pressed": String(object.key === chosen),
      "data-bytes": member.size,
      "data-name": member.name,
      onpointerenter: (event) => event.pointerType === "mouse" && onshow(object),
      onfocus: () => {
        cells.forEach((other) => (other.node.tabIndex = other.node === node ? 0 : -1));
        onshow(object);
      },
    });
    if (rectangle.width > 44 && rectangle.height > 18) {
      node.append(element("span", { class: "name" }, shortName(member.name)));
      if (rectangle.height > 36) node.append(element("span", {}, sizeText(member.size)));
    }
    return node;
  }

  function draw() {
    const { clientWidth: width, clientHeight: height } = container;
    if (!boxes.length || !width || !height) return;
    const focused = cells.find((other) => other.node === document.activeElement);
    const total = boxes.reduce((sum, box) => sum + box.size, 0);
    cells = [];
    const outer = squarify(
      boxes.map((box) => box.size),
      width,
      height,
    );
    container.replaceChildren(
      ...boxes.map((box, index) => {
        const frame = outer[index];
        const layer = element("div", { class: "layer", "data-layer": box.number });
        place(layer, frame, width, height);
        const inner = squarify(
          box.objects.map((object) => object.member.size),
          frame.width,
          frame.height,
        );
        box.objects.forEach((object, position) => {
          const rectangle = inner[position];
          const node = cell(object, rectangle, total);
          place(node, rectangle, frame.width, frame.height);
          layer.append(node);
          cells.push({
            object,
            node,
            x: frame.x + rectangle.x + rectangle.width / 2,
            y: frame.y + rectangle.y + rectangle.height / 2,
          });
        });
        return layer;
      }),
    );
    const again = cells.find(({ object }) => focused && object.key === focused.object.key);
    const stop = again || cells.find(({ object }) => object.key === chosen) || cells[0];
    stop.node.tabIndex = 0;
    if (again) again.node.focus();
    drawn = `${width} ${height}`;
  }

  function choose(object) {
    chosen = object.key;
    for (const other of cells)
      other.node.setAttribute("aria-pressed", String(other.object.key === chosen));
    onchoose(object);
  }

  // The nearest box in the arrow's direction; what lies aside counts as farther away.
  function neighbour(from, key) {
    const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      key
    ];
    if (!along) return undefined;
    let best;
    for (const other of cells) {
      const [dx, dy] = [other.x - from.x, other.y - from.y];
      const ahead = dx * along[0] + dy * along[1];
      if (ahead <= 0.5) continue;
      const distance = ahead + 2 * Math.abs(dx * along[1] + dy * along[0]);
      if (!best || distance < best.distance) best = { distance, other };
    }
    return best && best.other;
  }

  container.addEventListener("keydown", (event) => {
    const from = cells.find(({ node }) => node === document.activeElement);
    if (!from || event.altKey || event.ctrlKey || event.metaKey) return;
    const ends = { Home: cells[0], End: cells[cells.length - 1] };
    const to = ends[event.key] || neighbour(from, event.key);
    if (!to) return;
    event.preventDefault();
    to.node.focus();
  });
  container.addEventListener("pointerleave", () => onshow(undefined));
  new ResizeObserver(() => {
    if (drawn !== `${container.clientWidth} ${container.clientHeight}`) draw();
  }).observe(container);

  return {
    /** Shows `shown`, some of `boxesOf`, with the object whose key is `key` chosen. */
    show(shown, key) {
      boxes = shown;
      chosen = key;
      draw();
    },
    /** Moves the focus to the chosen object. */
    focus() {
      cells.find(({ node }) => node.tabIndex === 0)?.node.focus();
    },
  };
}
