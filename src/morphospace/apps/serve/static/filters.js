// Filters by tag. Several values of one column that are shown only mean any of them; columns all count.

import { $, complain, el } from "./dom.js";

export class Filters {
  constructor(page) {
    this.page = page;
    this.chosen = []; // {column, value, isWith}: names, so that they hold on every map
    $("filter-column").addEventListener("change", () => this._values());
    $("filter-with").addEventListener("click", () => this._add(true));
    $("filter-without").addEventListener("click", () => this._add(false));
  }

  /** Offer what the map that is shown has; forget what it has not. */
  refresh() {
    const columns = this.page.columns.filter((c) => c.tag && c.levels.length > 1);
    this.chosen = this.chosen.filter((f) => columns.some((c) => c.name === f.column && c.levels.includes(f.value)));
    const before = $("filter-column").value || "Metadata_MoA";
    $("filter-column").replaceChildren(...columns.map((c) =>
      el("option", { value: c.name, selected: c.name === before }, c.label)));
    this._values();
    this._chips();
  }

  has(column, code) {
    return this.chosen.some((f) => f.isWith && f.column === column && f.value === this.page.column(column).levels[code]);
  }

  toggle(column, code) {
    const value = this.page.column(column).levels[code];
    const others = this.chosen.filter((f) => f.column !== column || f.value !== value);
    this._set(this.has(column, code) ? others : [...others, { column, value, isWith: true }]);
  }

  /** Return which items pass (1 or 0 each). */
  async mask(count) {
    const passes = new Uint8Array(count).fill(1);
    for (const name of new Set(this.chosen.map((f) => f.column))) {
      const column = this.page.column(name);
      const codes = await this.page.valuesOf(name);
      const codesOf = (isWith) => new Set(this.chosen.filter((f) => f.column === name && f.isWith === isWith)
        .map((f) => column.levels.indexOf(f.value)));
      const [wanted, unwanted] = [codesOf(true), codesOf(false)];
      for (let i = 0; i < count; i++) {
        if ((wanted.size && !wanted.has(codes[i])) || unwanted.has(codes[i])) passes[i] = 0;
      }
    }
    return passes;
  }

  /** Return the tags for a search. */
  tags() {
    const said = (isWith) => this.chosen.filter((f) => f.isWith === isWith)
      .map((f) => `${this.page.column(f.column).tag}:${f.value}`);
    return { including: said(true), excluding: said(false) };
  }

  _values() {
    const column = this.page.column($("filter-column").value);
    $("filter-value").replaceChildren(...(column?.levels ?? []).map((v) => el("option", { value: v }, v)));
  }

  _add(isWith) {
    const [column, value] = [$("filter-column").value, $("filter-value").value];
    if (!column || !value) return;
    this._set([...this.chosen.filter((f) => f.column !== column || f.value !== value), { column, value, isWith }]);
  }

  _set(chosen) {
    this.chosen = chosen;
    this._chips();
    this.page.refilter().catch(complain);
  }

  _chips() {
    const chips = this.chosen.map((f) => el("button", {
      type: "button", class: f.isWith ? "chip" : "chip without", title: "Remove this filter",
      onclick: () => this._set(this.chosen.filter((g) => g !== f)),
    }, el("span", {}, `${f.isWith ? "" : "not "}${this.page.column(f.column).label}: ${f.value}`),
    el("span", { "aria-hidden": "true" }, "×")));
    if (chips.length > 1) {
      chips.push(el("button", { type: "button", class: "chip clear", onclick: () => this._set([]) }, "Clear all"));
    }
    $("chips").replaceChildren(...chips);
  }
}
