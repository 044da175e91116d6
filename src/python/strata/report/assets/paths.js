// Paths in the closure: why an object is in an image.

/** An image's closure with what refers to each object; of reports without one it is empty. */
function closureOf(image) {
  const { roots = {}, objects = {} } = image.closure || {};
  const references = new Map(
    Object.entries(objects).map(([name, item]) => [name, item.references]),
  );
  const referrers = new Map([...references.keys()].map((name) => [name, []]));
  for (const [name, targets] of references) {
    for (const target of targets) if (referrers.has(target)) referrers.get(target).push(name);
  }
  return { roots: Object.entries(roots), references, referrers };
}

/**
 * A shortest way to each object that does not lead through `without`: `{before, depth}` by name.
 * `before` is the object before it, or null where one of `roots` asks for it itself.
 */
function shortestWays({ roots, references }, without) {
  const ways = new Map();
  const queue = [];
  const reach = (name, before, depth) => {
    if (name === without || ways.has(name) || !references.has(name)) return;
    ways.set(name, { before, depth });
    queue.push(name);
  };
  for (const [, names] of roots) for (const name of names) reach(name, null, 1);
  for (let next = 0; next < queue.length; next += 1) {
    const name = queue[next];
    for (const target of references.get(name)) reach(target, name, ways.get(name).depth + 1);
  }
  return ways;
}

/**
 * Why `name` is in the image: a path for every address that asks for it, and the shortest one
 * through everything that refers to it; the shortest of all first. A path begins with an address.
 */
function pathsTo(closure, name) {
  const ways = shortestWays(closure, name);
  const askedBy = (object) =>
    closure.roots.filter(([, names]) => names.includes(object)).map(([address]) => address);
  const paths = askedBy(name).map((address) => [address, name]);
  for (const referrer of closure.referrers.get(name) || []) {
    if (!ways.has(referrer)) continue;
    const path = [name];
    let step = referrer;
    while (step !== null) {
      path.unshift(step);
      step = ways.get(step).before;
    }
    paths.push([askedBy(path[0])[0], ...path]);
  }
  const text = (path) => path.join(" ");
  return paths.sort((a, b) => a.length - b.length || (text(a) < text(b) ? -1 : 1));
}
