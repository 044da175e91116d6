// The squarified treemap of Bruls, Huizing and van Wijk (2000).

/**
 * Rectangles `{x, y, width, height}` that fill `width` times `height`, one for each of `values`,
 * which are positive and in descending order. Areas are proportional to values.
 */
function squarify(values, width, height) {
  const total = values.reduce((sum, value) => sum + value, 0);
  const areas = values.map((value) => (value / total) * width * height);
  const rectangles = [];
  let [x, y] = [0, 0];
  let start = 0;
  while (start < areas.length) {
    const side = Math.min(width, height);
    let end = start + 1;
    let sum = areas[start];
    // A row grows while that makes its worst box more of a square.
    while (
      end < areas.length &&
      worst(side, sum + areas[end], areas[start], areas[end]) <=
        worst(side, sum, areas[start], areas[end - 1])
    ) {
      sum += areas[end];
      end += 1;
    }
    const thickness = side > 0 ? sum / side : 0;
    let offset = 0;
    for (const area of areas.slice(start, end)) {
      const length = sum > 0 ? (area / sum) * side : 0;
      rectangles.push(
        width >= height
          ? { x, y: y + offset, width: thickness, height: length }
          : { x: x + offset, y, width: length, height: thickness },
      );
      offset += length;
    }
    if (width >= height) {
      x += thickness;
      width -= thickness;
    } else {
      y += thickness;
      height -= thickness;
    }
    start = end;
  }
  return rectangles;
}

/** The largest ratio of sides in a row of boxes along `side`. */
function worst(side, sum, largest, smallest) {
  const square = side * side;
  return Math.max((square * largest) / (sum * sum), (sum * sum) / (square * smallest));
}
