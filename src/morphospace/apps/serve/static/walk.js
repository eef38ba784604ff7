// A walk through the latent space: what the model draws as one dimension after the other is moved.

import * as api from "./api.js";
import { $, complain, el, said } from "./dom.js";
import { channels } from "./look.js";

const SPAN = 3; // standard deviations to either side

export class Walk {
  constructor(page) {
    this.page = page;
    this.start = null;
    this.moves = {};
    const { sliders, facts } = page.about;
    if (!sliders.length) return;
    this.picture = el("img", { class: facts.channels.length === 3 ? "crop large" : "crop large wide",
      alt: "What the model draws at this place of the latent space" });
    this.from_ = el("p", { class: "under" });
    const most = Math.max(...sliders.map((s) => s.amount)) || 1;
    this.rows = sliders.map((slider) => this._row(slider, most));
    const by = sliders[0].by === "KL" ? "they tell most of a cell (KL, in nats)" : "the cells differ most in them";
    $("walk").replaceChildren(
      el("figure", { class: "walker" }, this.picture), channels(facts), this.from_,
      el("div", { class: "actions" },
        el("button", { type: "button", onclick: () => this._reset() }, "Back to the start"),
        el("button", { type: "button", onclick: () => this.from(null) }, "Start at the average cell")),
      el("h3", {}, `The ${sliders.length} strongest dimensions`),
      el("p", { class: "note" }, `In this order, for ${by}. A step is one standard deviation of all cells.`),
      el("div", { class: "sliders" }, ...this.rows.map((r) => r.box)));
    this._say();
  }

  opened() {
    if (this.picture && !this.picture.src) this._draw();
  }

  /** Start at a cell, or (null) at the mean of all. */
  from(cell) {
    this.start = cell;
    this._say();
    this._reset();
    this.page.openTab("walk");
  }

  _say() {
    this.from_.textContent = this.start === null ? "From the average of all cells" : `From cell ${this.start}`;
  }

  _row(slider, most) {
    const value = el("output", {}, "0");
    const range = el("input", { type: "range", min: -SPAN, max: SPAN, step: 0.1, value: 0,
      "data-dimension": slider.dimension,
      "aria-label": `Latent ${slider.dimension}, in standard deviations`,
      oninput: () => {
        this.moves[slider.dimension] = Number(range.value);
        value.textContent = said(Number(range.value));
        this._draw();
      },
      ondblclick: () => {
        range.value = 0;
        range.dispatchEvent(new Event("input"));
      } });
    const share = el("meter", { min: 0, max: most, value: slider.amount, "aria-hidden": "true" });
    const amount = `${slider.by} ${said(slider.amount)}${slider.by === "KL" ? " nats" : ""}`;
    const box = el("label", { class: "slider", title: amount },
      el("span", { class: "name" }, `Latent ${slider.dimension}`), share, range, value);
    return { box, range, value };
  }

  _reset() {
    this.moves = {};
    for (const { range, value } of this.rows) {
      range.value = 0;
      value.textContent = "0";
    }
    this._draw();
  }

  /** Ask for the picture; while one is on its way only the last wish is kept. */
  async _draw() {
    this.isWanted = true;
    if (this.isDrawing) return;
    this.isDrawing = true;
    try {
      while (this.isWanted) {
        this.isWanted = false;
        const url = URL.createObjectURL(await api.walk(this.start, this.moves));
        const old = this.picture.src;
        this.picture.src = url;
        await this.picture.decode();
        if (old) URL.revokeObjectURL(old);
      }
    } catch (error) {
      complain(error);
    } finally {
      this.isDrawing = false;
    }
  }
}
