// What is different between two images: layers to push, and objects.

/** Objects of an image by name, with their layers and what identifies their content. */
function objectsOf(image) {
  const contents = (image.closure || {}).objects || {};
  const result = new Map();
  for (const layer of image.layers) {
    for (const member of layer.members) {
      const known = Object.prototype.hasOwnProperty.call(contents, member.name);
      result.set(member.name, {
        member,
        layer,
        content: known ? contents[member.name].content : "",
      });
    }
  }
  return result;
}

/** Whether an object is another one than it was. */
function isChanged(was, is) {
  if (was.layer.digest === is.layer.digest) return false;
  if (["version", "size", "files"].some((key) => was.member[key] !== is.member[key])) return true;
  if (was.content && is.content) return was.content !== is.content;
  // Nothing identifies it, so what is alone in its layer is what made that another.
  return was.layer.members.length === 1 && is.layer.members.length === 1;
}

/**
 * What a registry that has `held` is sent of `image`, what a machine that has unpacked `held`
 * unpacks anew (all above the lowest layer that differs), and what became of the objects.
 */
function differenceOf(image, held) {
  const there = new Set(held.layers.map((layer) => layer.digest));
  const pushed = new Map();
  image.layers.forEach((layer, index) => {
    if (!there.has(layer.digest) && !pushed.has(layer.digest))
      pushed.set(layer.digest, { layer, number: index + 1 });
  });
  let common = 0;
  while (
    common < image.layers.length &&
    common < held.layers.length &&
    image.layers[common].diff_id === held.layers[common].diff_id
  )
    common += 1;

  const before = objectsOf(held);
  const after = objectsOf(image);
  const objects = [];
  for (const [name, is] of after) {
    const was = before.get(name);
    if (!was) objects.push({ name, change: "added", to: is.member, bytes: is.member.size });
    else if (isChanged(was, is)) {
      objects.push({
        name,
        change: "changed",
        from: was.member,
        to: is.member,
        bytes: is.member.size - was.member.size,
      });
    } else if (pushed.has(is.layer.digest)) {
      objects.push({ name, change: "again", from: was.member, to: is.member, bytes: 0 });
    }
  }
  for (const [name, was] of before) {
    if (!after.has(name))
      objects.push({ name, change: "removed", from: was.member, bytes: -was.member.size });
  }
  const order = ["changed", "added", "removed", "again"];
  objects.sort(
    (a, b) => order.indexOf(a.change) - order.indexOf(b.change) || (a.name < b.name ? -1 : 1),
  );
  return { pushed: [...pushed.values()].reverse(), unpacked: image.layers.slice(common), objects };
}
