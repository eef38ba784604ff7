// What is picked: its crop as it is and as the model draws it, what is known of it, and what is like it.

import * as api from "./api.js";
import { $, complain, el, said } from "./dom.js";

const HIDDEN = new Set(["Split"]);
const PRIMARIES = ["red", "green", "blue"];

export class Look {
  constructor(page) {
    this.page = page;
    this.metric = "cosine";
    this.isFiltered = true;
    this._nothing();
  }

  async show(item) {
    this.asked?.abort();
    if (item < 0) return this._nothing();
    this.asked = new AbortController();
    const { signal } = this.asked;
    const { level } = this.page;
    try {
      const found = await api.item(level, item, signal);
      if (signal.aborted) return undefined;
      this.hits = el("div", { class: "tiles", "aria-live": "polite" });
      $("look").replaceChildren(...this._title(found), ...this._pictures(level, item, found), ...this._near(),
        this._table(level, found));
      await this._similar(signal);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
    return undefined;
  }

  /** The neighbours follow the filters. */
  filtersChanged() {
    if (this.page.selected >= 0 && this.isFiltered) this.again().catch(complain);
  }

  async again() {
    this.asked?.abort();
    this.asked = new AbortController();
    await this._similar(this.asked.signal).catch((error) => {
      if (error.name !== "AbortError") throw error;
    });
  }

  async _similar(signal) {
    const { page } = this;
    const { level, selected } = page;
    const tags = this.isFiltered ? page.filters.tags() : { including: [], excluding: [] };
    this.hits.classList.add("waiting");
    let hits = [];
    try {
      hits = await api.similar(level, selected, { metric: this.metric, ...tags }, signal);
      this.hits.replaceChildren(...hits.map((hit) => tile(page, level, hit)));
      if (!hits.length) this.hits.replaceChildren(el("p", { class: "note" }, "Nothing else passes the filters."));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.hits.replaceChildren(el("p", { class: "note" }, error.message));
    }
    this.hits.classList.remove("waiting");
    page.map.mark({ hits: hits.map((h) => h.item) });
  }

  _nothing() {
    const { facts } = this.page.about;
    $("look").replaceChildren(
      el("div", { class: "empty" },
        el("p", { class: "lead" }, "Click a point to see its crop, its neighbours and its well."),
        el("p", {}, `Each of the ${said(facts.cells)} cells is ${facts.z_dim} numbers that ${facts.model} made of its crop. `
          + "Cells that look alike lie near each other."),
        el("p", {}, "Drop the picture of a cell anywhere on this page to find cells like it.")));
  }

  _title(found) {
    const value = (name) => {
      const index = this.page.columns.findIndex((c) => c.name === name);
      return index < 0 ? null : found.values[index];
    };
    const dose = value("Metadata_Concentration");
    const mechanism = value("Metadata_MoA");
    const where = [value("Metadata_Plate"), value("Metadata_Well"), value("Metadata_Site") && `site ${value("Metadata_Site")}`,
      value("ObjectNumber") && `object ${value("ObjectNumber")}`];
    return [
      el("h2", { class: "title" }, value("Metadata_Compound") ?? "no compound",
        dose ? el("span", { class: "dose" }, said(dose, "µM")) : null),
      el("p", { class: "under" }, mechanism ? el("span", { class: "badge" }, mechanism) : null,
        el("span", {}, this.page.level === "treatments" ? "" : where.filter(Boolean).slice(0, this.page.level === "cells" ? 4 : 2).join(" · "))),
    ];
  }

  _pictures(level, item, found) {
    const { facts, reconstructs, sliders } = this.page.about;
    const actions = el("div", { class: "actions" });
    if (level === "cells" && found.well !== null) {
      actions.append(el("button", { type: "button", onclick: () => this.page.go("wells", found.well).catch(complain) }, "Its well"));
    }
    if (level === "cells" && sliders.length) {
      actions.append(el("button", { type: "button", onclick: () => this.page.walk.from(item) }, "Walk from here"));
    }
    if (level !== "cells") {
      const cells = found.cells.map((cell) => tile(this.page, "cells", { item: cell, cell, distance: null }));
      return [el("h3", {}, "Its most typical cells"), el("div", { class: "tiles" }, ...cells)];
    }
    const shown = [figure(api.crop(item), "The crop", facts)];
    if (reconstructs) shown.push(figure(api.reconstruction(item), "As the model draws it", facts));
    return [el("div", { class: "figures" }, ...shown), channels(facts), actions.childElementCount ? actions : null].filter(Boolean);
  }

  _near() {
    const { page } = this;
    const choose = el("select", { "aria-label": "Distance", onchange: (event) => {
      this.metric = event.target.value;
      this.again().catch(complain);
    } }, el("option", { value: "cosine", selected: this.metric === "cosine" }, "cosine"),
    el("option", { value: "l2", selected: this.metric === "l2" }, "Euclidean"));
    const only = el("label", { class: "check" }, el("input", {
      type: "checkbox", checked: this.isFiltered,
      onchange: (event) => {
        this.isFiltered = event.target.checked;
        this.again().catch(complain);
      },
    }), "as filtered");
    return [el("div", { class: "heading" }, el("h3", {}, `Most similar ${page.level}`), only, choose), this.hits];
  }

  _table(level, found) {
    const rows = this.page.columns.map((column, i) => [column, found.values[i]])
      .filter(([column, value]) => column.group !== "latent" && value !== null && !(HIDDEN.has(column.name) && level !== "cells"));
    const latents = this.page.columns.map((column, i) => [column, found.values[i]]).filter(([c]) => c.group === "latent");
    const list = (pairs) => el("dl", { class: "facts-table" }, ...pairs.map(([column, value]) =>
      el("div", {}, el("dt", {}, column.label), el("dd", {}, typeof value === "number" ? said(value, column.unit) : value))));
    return el("div", {}, el("h3", {}, "What is known"), list(rows),
      el("details", {}, el("summary", {}, `${latents.length} latents`), list(latents)));
  }
}

/** Return a button with the crop of an item (for a well, of its most typical cell) that picks it. */
export function tile(page, level, { item, cell, distance }) {
  const text = distance === null ? null : distance < 1e-6 ? "0" : distance.toPrecision(3);
  return el("button", {
    type: "button", class: "tile", title: distance === null ? `cell ${item}` : `distance ${text}`,
    "aria-label": distance === null ? `Pick cell ${item}` : `Pick ${level.slice(0, -1)} ${item}, distance ${text}`,
    onclick: () => page.go(level, item).catch(complain),
    onpointerenter: () => level === page.level && page.map.mark({ hover: item }),
    onpointerleave: () => page.map.mark({ hover: -1 }),
    onfocus: () => level === page.level && page.map.mark({ hover: item }),
    onblur: () => page.map.mark({ hover: -1 }),
  }, el("img", { src: api.crop(cell), alt: "", loading: "lazy", decoding: "async" }), text ? el("span", {}, text) : null);
}

export function figure(source, caption, facts) {
  return el("figure", {}, el("img", { src: source, alt: caption, class: facts.channels.length === 3 ? "crop" : "crop wide" }),
    el("figcaption", {}, caption));
}

/** Return which colour, or which place, is which channel. */
export function channels(facts) {
  const names = facts.channels;
  if (names.length === 1) return el("p", { class: "channels" }, names[0]);
  if (names.length !== 3) return el("p", { class: "channels" }, `From left to right: ${names.join(", ")}`);
  return el("p", { class: "channels" }, ...names.map((name, i) => el("span", { class: PRIMARIES[i] }, name)));
}
