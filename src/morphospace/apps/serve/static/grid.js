// Points sorted into boxes, so that those near a place are found without looking at all.

const SIDE = 256; // boxes along each axis

export class Grid {
  constructor(xs, ys) {
    [this.xs, this.ys] = [xs, ys];
    const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
    for (let i = 0; i < xs.length; i++) {
      low[0] = Math.min(low[0], xs[i]);
      low[1] = Math.min(low[1], ys[i]);
      high[0] = Math.max(high[0], xs[i]);
      high[1] = Math.max(high[1], ys[i]);
    }
    [this.low, this.high] = [low, high];
    this.starts = new Uint32Array(SIDE * SIDE + 1);
    const boxes = new Uint32Array(xs.length);
    for (let i = 0; i < xs.length; i++) {
      boxes[i] = this._along(1, ys[i]) * SIDE + this._along(0, xs[i]);
      this.starts[boxes[i] + 1] += 1;
    }
    for (let b = 0; b < SIDE * SIDE; b++) this.starts[b + 1] += this.starts[b];
    const next = this.starts.slice();
    this.sorted = new Uint32Array(xs.length);
    for (let i = 0; i < xs.length; i++) this.sorted[next[boxes[i]]++] = i;
  }

  /** Return the shown point nearest to a place, no farther than `reach`, or -1. */
  nearest(x, y, reach, isShown) {
    let [best, least] = [-1, reach * reach];
    const [left, right] = [this._along(0, x - reach), this._along(0, x + reach)];
    const [top, bottom] = [this._along(1, y - reach), this._along(1, y + reach)];
    for (let row = top; row <= bottom; row++) for (let column = left; column <= right; column++) {
      const box = row * SIDE + column;
      for (let k = this.starts[box]; k < this.starts[box + 1]; k++) {
        const i = this.sorted[k];
        if (!isShown[i]) continue;
        const away = (this.xs[i] - x) ** 2 + (this.ys[i] - y) ** 2;
        if (away <= least) [best, least] = [i, away];
      }
    }
    return best;
  }

  _along(axis, value) {
    const span = this.high[axis] - this.low[axis] || 1;
    return Math.min(Math.max(Math.floor(((value - this.low[axis]) / span) * SIDE), 0), SIDE - 1);
  }
}
