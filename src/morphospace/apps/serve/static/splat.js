// Points as pixels. Each point is a small picture (a stamp) that is blended into an image in memory: a quarter of a
// million of them take some hundredths of a second on one core, with any graphics card or none.

const PHASES = 4; // stamps a pixel along each axis: a point lies between pixels
const FINE = 6; // samples a pixel along each axis, for soft edges
const stamps = new Map();

/** Which of the three shapes holds a place, in units of the radius; all have nearly the area of the disc. */
const INSIDE = [
  (x, y) => x * x + y * y <= 1,
  (x, y) => y <= 0.72 && Math.abs(x) * 1.82 - y <= 1.22,
  (x, y) => Math.abs(x) <= 0.88 && Math.abs(y) <= 0.88,
];

/** Return the coverage (0 to 255) of the pixels round a point, for each place that the point has within its pixel. */
function stamp(shape, radius) {
  const name = `${shape} ${radius}`;
  if (stamps.has(name)) return stamps.get(name);
  const reach = Math.ceil(radius * 1.3 + 0.5);
  const side = 2 * reach + 1;
  const made = [];
  for (let phase = 0; phase < PHASES * PHASES; phase++) {
    const cx = reach + ((phase % PHASES) + 0.5) / PHASES;
    const cy = reach + (Math.floor(phase / PHASES) + 0.5) / PHASES;
    const entries = [];
    for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
      let hits = 0;
      for (let j = 0; j < FINE; j++) for (let i = 0; i < FINE; i++) {
        const [px, py] = [(x + (i + 0.5) / FINE - cx) / radius, (y + (j + 0.5) / FINE - cy) / radius];
        if (INSIDE[shape](px, py)) hits++;
      }
      if (hits) entries.push(x - reach, y - reach, Math.round((255 * hits) / (FINE * FINE)));
    }
    made.push(Int16Array.from(entries));
  }
  if (stamps.size > 64) stamps.clear();
  stamps.set(name, { reach, made });
  return stamps.get(name);
}

/** Lay an ink over pixels; red and blue are reckoned together, eight bits apart, for speed. */
function blend(pixels, at, entries, ink, alpha) {
  const redBlue = ink & 0xff00ff;
  const green = ink & 0xff00;
  for (let e = 0; e < entries.length; e += 2) {
    const a = (entries[e + 1] * alpha) >> 8;
    const old = pixels[at + entries[e]];
    const mixed = ((Math.imul(redBlue, a) + Math.imul(old & 0xff00ff, 256 - a)) >>> 8) & 0xff00ff;
    pixels[at + entries[e]] = 0xff000000 | mixed | (((Math.imul(green, a) + Math.imul(old & 0xff00, 256 - a)) >>> 8) & 0xff00);
  }
}

export class Splatter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.resize(1, 1);
  }

  resize(width, height) {
    this.width = this.canvas.width = Math.max(1, width);
    this.height = this.canvas.height = Math.max(1, height);
    this.image = this.context.createImageData(this.width, this.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /**
   * Draw points and return the milliseconds it took.
   * points: {xs, ys, order}; look: {of, colours ([r, g, b] each), shapes, alpha (0 to 256) each};
   * view: {scale, x, y}: screen = data * scale + (x, y), in pixels; radius in pixels, background [r, g, b].
   */
  draw(points, look, view, radius, background) {
    const began = performance.now();
    const [r, g, b] = background;
    this.pixels.fill(((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    const offsets = this._offsets(look.shapes, radius);
    const { xs, ys, order } = points;
    const inks = look.colours.map(([red, green, blue]) => (blue << 16) | (green << 8) | red);
    const { width, height, pixels } = this;
    for (let k = 0; k < order.length; k++) {
      const i = order[k];
      const px = xs[i] * view.scale + view.x;
      const py = view.y - ys[i] * view.scale;
      const column = Math.floor(px);
      const row = Math.floor(py);
      const n = look.of[i];
      const stamp = offsets[look.shapes[n]];
      const reach = stamp.reach;
      if (column < reach || row < reach || column >= width - reach || row >= height - reach) continue;
      const phase = Math.floor((py - row) * PHASES) * PHASES + Math.floor((px - column) * PHASES);
      blend(pixels, row * width + column, stamp.made[phase], inks[n], look.alpha[n]);
    }
    this.context.putImageData(this.image, 0, 0);
    return performance.now() - began;
  }

  /** Return the stamps by shape, their places as steps in the image: (step, coverage) pairs. */
  _offsets(shapes, radius) {
    const rounded = Math.max(0.5, Math.round(radius * 4) / 4);
    const found = [];
    for (const shape of new Set(shapes)) {
      const { reach, made } = stamp(shape, rounded);
      found[shape] = {
        reach,
        made: made.map((entries) => {
          const flat = new Int32Array((entries.length / 3) * 2);
          for (let e = 0, f = 0; e < entries.length; e += 3, f += 2) {
            flat[f] = entries[e + 1] * this.width + entries[e];
            flat[f + 1] = entries[e + 2];
          }
          return flat;
        }),
      };
    }
    return found;
  }
}
