// The map: what is seen of it, moving and zooming, and which point lies under the pointer.

import { Grid } from "./grid.js";
import { listen } from "./hands.js";
import { Splatter } from "./splat.js";

const MARGIN = 28; // px
const NEAR = 12; // px: how far from a point a click still means it
const QUICK = 16; // ms: drawings that take longer are made less often, and coarser, while the map moves
const LARGE = 100000; // points from which on a fine screen is not used to the full
const REST = 140; // ms without a movement after which the map is drawn as well as can be

export class PointMap extends EventTarget {
  constructor(box) {
    super();
    this.box = box;
    this.splatter = new Splatter(box.querySelector(".points"));
    this.marks = box.querySelector(".marks");
    this.view = { scale: 1, x: 0, y: 0 };
    this.points = null;
    this.look = null;
    this.marked = { selected: -1, hits: [], hover: -1 };
    this.frame = 0;
    this.milliseconds = 0; // of the last drawing
    this.movedAt = this.drawnAt = -Infinity;
    new ResizeObserver(() => this._resized()).observe(box);
    listen(this);
  }

  /** Show other points, (n, 2) flat, all of them in view. */
  setPoints(flat) {
    const n = flat.length / 2;
    const [xs, ys] = [new Float32Array(n), new Float32Array(n)];
    for (let i = 0; i < n; i++) [xs[i], ys[i]] = [flat[2 * i], flat[2 * i + 1]];
    this.points = { xs, ys, order: new Uint32Array(0) };
    this.isShown = new Uint8Array(n).fill(1);
    this.grid = new Grid(xs, ys);
    this.marked = { selected: -1, hits: [], hover: -1 };
    this.fit();
  }

  /** Show other looks: {of, colours, shapes, alpha}, an order of drawing, and which points may be picked. */
  setLook(look, order, isShown) {
    this.look = look;
    this.points.order = order;
    this.isShown = isShown;
    this.redraw();
  }

  mark(marked) {
    Object.assign(this.marked, marked);
    this._drawMarks();
  }

  fit() {
    const { low, high } = this.grid;
    const [w, h] = [this.box.clientWidth, this.box.clientHeight];
    const spans = [high[0] - low[0] || 1, high[1] - low[1] || 1];
    const scale = Math.min((w - 2 * MARGIN) / spans[0], (h - 2 * MARGIN) / spans[1]);
    this.fitted = Math.max(scale, 1e-6);
    this.view = {
      scale: this.fitted,
      x: w / 2 - (this.fitted * (low[0] + high[0])) / 2,
      y: h / 2 + (this.fitted * (low[1] + high[1])) / 2,
    };
    this.redraw();
  }

  move(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this._moved();
  }

  /** Zoom by a factor round a place, px; the middle by default. */
  zoom(factor, x = this.box.clientWidth / 2, y = this.box.clientHeight / 2) {
    const scale = Math.min(Math.max(this.view.scale * factor, this.fitted * 0.5), this.fitted * 400);
    const real = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * real, y: y - (y - this.view.y) * real };
    this._moved();
  }

  /** Bring a point into view if it is outside. */
  reveal(i) {
    const [x, y] = this.place(i);
    const [w, h] = [this.box.clientWidth, this.box.clientHeight];
    if (x < MARGIN || y < MARGIN || x > w - MARGIN || y > h - MARGIN) this.move(w / 2 - x, h / 2 - y);
  }

  place(i) {
    const { xs, ys } = this.points;
    return [xs[i] * this.view.scale + this.view.x, this.view.y - ys[i] * this.view.scale];
  }

  /** Return the shown point nearest to a place, px, or -1 where none is near. */
  pick(x, y, near = Math.max(NEAR, this.radius() + 3)) {
    if (!this.points) return -1;
    const { scale } = this.view;
    return this.grid.nearest((x - this.view.x) / scale, (this.view.y - y) / scale, near / scale, this.isShown);
  }

  /** Radius of a point, px: smaller where there are many, larger when they are zoomed in on. */
  radius() {
    const base = Math.min(Math.max(Math.sqrt(15000 / this.points.xs.length), 1.1), 6.5);
    return base * Math.min(Math.max((this.view.scale / this.fitted) ** 0.35, 0.8), 3);
  }

  /** Draw with the next frame. */
  redraw() {
    this.isStale = true;
    this._soon();
  }

  /** Show the view as it is now: draw it if that is quick or was long ago, else shift the last drawing. */
  _moved() {
    this.movedAt = performance.now();
    this.isStale = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.redraw(), REST);
    this._soon();
  }

  _soon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (!this.points || !this.look) return;
      const now = performance.now();
      const isMoving = now - this.movedAt < REST;
      if (this.isStale && (!isMoving || this.milliseconds < QUICK || now - this.drawnAt > this.milliseconds)) this._draw(isMoving);
      this._shift();
      this._drawMarks();
    });
  }

  _draw(isMoving) {
    this.isStale = false;
    const fine = Math.min(window.devicePixelRatio, this.points.xs.length > LARGE ? 1.5 : 2);
    const ratio = isMoving && this.milliseconds > QUICK ? 1 : fine;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.splatter.width !== width || this.splatter.height !== height) this.splatter.resize(width, height);
    const { scale, x, y } = this.view;
    const view = { scale: scale * ratio, x: x * ratio, y: y * ratio };
    const background = getComputedStyle(this.box).backgroundColor.match(/\d+/g).slice(0, 3).map(Number);
    this.milliseconds = this.splatter.draw(this.points, this.look, view, this.radius() * ratio, background);
    this.shownView = { scale, x, y };
    this.drawnAt = performance.now();
  }

  /** Move the last drawing to where it belongs in the view as it is now. */
  _shift() {
    const { scale, x, y } = this.shownView;
    const by = this.view.scale / scale;
    const [dx, dy] = [this.view.x - by * x, this.view.y - by * y];
    this.splatter.canvas.style.transform = by === 1 && !dx && !dy ? "" : `translate(${dx}px, ${dy}px) scale(${by})`;
  }

  _drawMarks() {
    const context = this.marks.getContext("2d");
    context.setTransform(window.devicePixelRatio, 0, 0, window.devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.box.clientWidth, this.box.clientHeight);
    if (!this.points) return;
    const style = getComputedStyle(this.box);
    const [ink, paper] = [style.color, style.backgroundColor];
    const { selected, hits, hover } = this.marked;
    if (selected >= 0) {
      context.globalAlpha = 0.35;
      for (const i of hits) this._line(context, this.place(selected), this.place(i), ink);
      context.globalAlpha = 1;
    }
    for (const i of hits) this._ring(context, i, ink, paper, 1.5, 2.5);
    if (hover >= 0) this._ring(context, hover, ink, paper, 1.5, 2.5);
    if (selected >= 0) this._ring(context, selected, ink, paper, 2.5, 4.5);
  }

  _ring(context, i, ink, paper, width, gap) {
    const [x, y] = this.place(i);
    for (const [colour, thick] of [[paper, width + 2.5], [ink, width]]) {
      context.beginPath();
      context.arc(x, y, this.radius() + gap, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.stroke();
    }
  }

  /** Draw a line between two places, but not into the rings round them. */
  _line(context, [x, y], [u, v], ink) {
    const far = Math.hypot(u - x, v - y);
    const gap = this.radius() + 4;
    if (far <= 2 * gap) return;
    const [dx, dy] = [((u - x) / far) * gap, ((v - y) / far) * gap];
    context.beginPath();
    context.moveTo(x + dx, y + dy);
    context.lineTo(u - dx, v - dy);
    context.strokeStyle = ink;
    context.lineWidth = 1;
    context.stroke();
  }

  _resized() {
    const [w, h] = [this.box.clientWidth, this.box.clientHeight];
    const before = [this.width ?? w, this.height ?? h];
    [this.width, this.height] = [w, h];
    [this.marks.width, this.marks.height] = [w, h].map((side) => Math.round(side * window.devicePixelRatio));
    if (!this.points) return;
    if (Math.abs(this.view.scale - this.fitted) < 1e-9) this.fit();
    else {
      this.move((w - before[0]) / 2, (h - before[1]) / 2);
      this.movedAt = -Infinity; // draw at once: the canvas has another size
    }
  }
}
