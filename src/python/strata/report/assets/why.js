// "Why is this here?": choose an object, see its paths, what it refers to and who refers to it.

const MATCHES_SHOWN = 10;
const PATHS_SHOWN = 3;
const NEIGHBOURS_SHOWN = 12;

/** A view of the closure of the image that `show` gets. */
function makeWhyView({ search, found, matches, reasons }) {
  let closure;
  let members;

  const chip = (name) => button(name, () => choose(name), { class: `node kind-${kindOf(name)}` });

  /** A list of `items`, the first `count` of them until the rest is asked for. */
  function listOf(tag, items, count, properties = {}) {
    const list = element(tag, properties, items.slice(0, count));
    if (items.length <= count) return [list];
    const more = button(`Show all ${items.length}`, () => {
      list.append(...items.slice(count));
      more.remove();
      items[count].querySelector("button")?.focus();
    });
    return [list, element("p", {}, more)];
  }

  const chips = (names) =>
    names.length
      ? listOf(
          "ul",
          names.map((name) => element("li", {}, chip(name))),
          NEIGHBOURS_SHOWN,
          { class: "chips" },
        )
      : [element("p", { class: "quiet" }, "nothing")];

  function step(path, index) {
    if (!index)
      return element(
        "li",
        { class: "address" },
        element("span", { class: "node address" }, path[0]),
      );
    const isLast = index === path.length - 1;
    const node = isLast
      ? element("strong", { class: `node kind-${kindOf(path[index])}` }, path[index])
      : chip(path[index]);
    return element(
      "li",
      {},
      element("span", { class: "verb" }, index === 1 ? "asks for" : "needs"),
      node,
    );
  }

  function reasonsOf(name) {
    if (!closure.references.has(name)) {
      const text =
        name === "customisation"
          ? "Made for this image: the links that put objects in their places, what the target declares, and what its commands changed."
          : "The report does not say: it is part of a base image, or was written by an older release.";
      return [element("p", {}, text)];
    }
    const paths = pathsTo(closure, name);
    if (!paths.length) return [element("p", {}, "No target of the contents leads to it.")];
    const referred = closure.references.get(name);
    const referrers = closure.referrers.get(name);
    const items = paths.map((path) =>
      element(
        "li",
        {},
        element(
          "ol",
          { class: "path" },
          path.map((_, i) => step(path, i)),
        ),
      ),
    );
    return [
      element(
        "div",
        { class: "panes even" },
        element(
          "div",
          {},
          element(
            "h4",
            {},
            paths.length > 1 ? `${paths.length} reasons, the shortest first` : "One reason",
          ),
          ...listOf("ol", items, PATHS_SHOWN, { class: "paths" }),
        ),
        graphFigure(paths.slice(0, PATHS_SHOWN), referred.slice(0, NEIGHBOURS_SHOWN), choose),
      ),
      element(
        "div",
        { class: "panes even" },
        element(
          "div",
          { id: "referrers" },
          element(
            "h4",
            {},
            `${plural(referrers.length, "object")} ${referrers.length === 1 ? "refers" : "refer"} to it`,
          ),
          chips(referrers),
        ),
        element(
          "div",
          { id: "references" },
          element("h4", {}, `It refers to ${plural(referred.length, "object")}`),
          chips(referred),
        ),
      ),
    ];
  }

  function choose(name) {
    search.value = name;
    matches.replaceChildren();
    const held = members.get(name);
    found.textContent = held
      ? `${kindText(kindOf(name))}, ${sizeText(held.member.size)}, in layer ${held.number}`
      : `${kindText(kindOf(name))}, in no layer of this image`;
    reasons.replaceChildren(
      element(
        "h3",
        { tabindex: "-1" },
        name,
        held && held.member.version ? ` ${held.member.version}` : "",
      ),
      ...reasonsOf(name),
    );
  }

  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    const names = [...members.keys()].filter((name) => name.toLowerCase().includes(wanted));
    // Names that begin with it come first, then those in which it comes early.
    names.sort(
      (a, b) =>
        shortName(a).toLowerCase().indexOf(wanted) - shortName(b).toLowerCase().indexOf(wanted) ||
        (a < b ? -1 : 1),
    );
    const exact = names.find((name) => name.toLowerCase() === wanted);
    if (exact) {
      choose(exact);
      return;
    }
    const shown = wanted ? names.slice(0, MATCHES_SHOWN) : [];
    found.textContent = wanted
      ? plural(names.length, "object") +
        (names.length > shown.length ? `, the first ${shown.length}:` : "")
      : "";
    matches.replaceChildren(...shown.map((name) => element("li", {}, chip(name))));
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") matches.querySelector("button")?.click();
  });

  return {
    choose(name) {
      choose(name);
      reasons.querySelector("h3").focus({ preventScroll: true });
    },
    /** Begins with the largest object that nobody asks for by name: those have a story. */
    show(image) {
      closure = closureOf(image);
      members = new Map();
      image.layers.forEach((layer, index) => {
        for (const member of layer.members) members.set(member.name, { member, number: index + 1 });
      });
      for (const name of closure.references.keys())
        if (!members.has(name)) members.set(name, undefined);
      const asked = new Set(closure.roots.flatMap(([, names]) => names));
      const sizes = [...members].map(([name, held]) => [
        asked.has(name) || !closure.references.has(name) ? 1 : 0,
        -(held ? held.member.size : 0),
        name,
      ]);
      sizes.sort((a, b) => a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : 1));
      matches.replaceChildren();
      if (sizes.length) choose(sizes[0][2]);
      else
        reasons.replaceChildren(element("p", {}, "Nothing is known of the objects of this image."));
    },
  };
}
