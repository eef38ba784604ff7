// The page as a whole: what is shown, what is picked, and who must hear of it.

import * as api from "./api.js";
import { categories, isDark, numbers, rgb } from "./colours.js";
import { $, complain, el, many, said } from "./dom.js";
import { Filters } from "./filters.js";
import { drawLegend } from "./legend.js";
import { Look } from "./look.js";
import { PointMap } from "./map.js";
import { Search } from "./search.js";
import { Walk } from "./walk.js";

const FAINT = 26; // of 256: how much is seen of a point that is filtered out
const SOLID = { few: 225, many: 150 };
const MANY = 30000; // points from which on they are drawn thinner
const SHOWN_ON_CARD = ["Metadata_Compound", "Metadata_Concentration", "Metadata_MoA", "Metadata_Plate", "Metadata_Well"];

class Page {
  constructor(about) {
    this.about = about;
    this.level = Object.keys(about.levels)[0];
    this.colour = "Metadata_MoA";
    this.values = new Map(); // of columns, by level and name
    this.map = new PointMap($("map"));
    this.filters = new Filters(this);
    this.look = new Look(this);
    this.search = new Search(this);
    this.walk = new Walk(this);
    this.emphasis = -1; // the look under the pointer in the legend
    this._header();
    this._tabs();
    this._listen();
  }

  get columns() {
    return this.about.levels[this.level].columns;
  }

  get count() {
    return this.about.levels[this.level].count;
  }

  column(name) {
    return this.columns.find((c) => c.name === name);
  }

  /** Return the values of a column of the level on the map. */
  async valuesOf(name) {
    const key = `${this.level} ${name}`;
    if (!this.values.has(key)) {
      const index = this.columns.findIndex((c) => c.name === name);
      this.values.set(key, api.values(this.level, index, this.columns[index].kind).catch((error) => {
        this.values.delete(key);
        throw error;
      }));
    }
    return this.values.get(key);
  }

  /** Show another map: cells, wells or treatments. */
  async show(level) {
    const points = await api.points(level);
    this.level = level;
    this.selected = -1; // an item of the map before
    this.map.setPoints(points);
    for (const button of $("levels").children) button.setAttribute("aria-pressed", button.dataset.level === level);
    this.filters.refresh();
    if (!this.column(this.colour)) this.colour = this.columns[0].name;
    this._colours();
    await Promise.all(SHOWN_ON_CARD.filter((c) => this.column(c)).map((c) => this.valuesOf(c)));
    await this.recolour();
    await this.pick(-1);
  }

  async recolour() {
    const column = this.column(this.colour);
    const values = await this.valuesOf(column.name);
    if (column !== this.column(this.colour)) return; // another was chosen meanwhile
    this.painted = { column, ...(column.kind === "number" ? numbers : categories)(column, values) };
    await this.refilter();
  }

  /** Apply filters and emphasis: which points are bright, and in what order all are drawn. */
  async refilter() {
    const { of, looks, column } = this.painted;
    const isShown = await this.filters.mask(this.count);
    const solid = of.length > MANY ? SOLID.many : SOLID.few;
    const bright = looks.map((_, i) => (this.emphasis >= 0 && column.kind === "category" && i !== this.emphasis ? 46 : solid));
    const colours = looks.map((look) => rgb(look.colour));
    const shapes = looks.map((look) => look.shape);
    const faded = new Uint16Array(of.length);
    const sizes = new Uint32Array(looks.length);
    let shown = 0;
    for (let i = 0; i < of.length; i++) {
      shown += isShown[i];
      sizes[of[i]] += 1;
      faded[i] = isShown[i] ? of[i] : looks.length;
    }
    const back = isDark() ? [120, 128, 138] : [120, 124, 128];
    const look = { of: faded, colours: [...colours, back], shapes: [...shapes, 0], alpha: [...bright, FAINT] };
    this.map.setLook(look, this._order(faded, sizes, column.kind), isShown);
    this.shown = shown;
    $("count").textContent = shown === this.count
      ? `All ${many(this.count, this.level)} are shown.`
      : `${said(shown)} of ${many(this.count, this.level)} are shown.`;
    drawLegend($("legend"), this);
    this.look.filtersChanged();
  }

  /** Return the order of drawing: what is filtered out first, then the common looks, so that the rare ones are seen. */
  _order(faded, sizes, kind) {
    const rank = new Uint16Array(sizes.length + 1);
    if (kind === "category") {
      [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a]).forEach((look, i) => (rank[look] = i + 1));
    } else rank.fill(1, 0, sizes.length);
    const starts = new Uint32Array(sizes.length + 2);
    for (const look of faded) starts[rank[look] + 1] += 1;
    for (let r = 0; r <= sizes.length; r++) starts[r + 1] += starts[r];
    const order = new Uint32Array(faded.length);
    for (let i = 0; i < faded.length; i++) order[starts[rank[faded[i]]]++] = i;
    return order;
  }

  /** Pick an item of the map that is shown, -1 for none. */
  async pick(item) {
    this.selected = item;
    this.map.mark({ selected: item, hits: [] });
    if (item >= 0) {
      this.map.reveal(item);
      this.openTab("look");
    }
    await this.look.show(item);
  }

  /** Pick an item of another map, which is shown first. */
  async go(level, item) {
    if (level !== this.level) await this.show(level);
    await this.pick(item);
  }

  openTab(name) {
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const isOpen = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", isOpen);
      tab.tabIndex = isOpen ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = !isOpen;
    }
    if (name === "walk") this.walk.opened();
  }

  emphasise(look) {
    if (this.emphasis === look) return;
    this.emphasis = look;
    const column = this.painted.column;
    const solid = this.painted.of.length > MANY ? SOLID.many : SOLID.few;
    this.map.look.alpha = [
      ...this.painted.looks.map((_, i) => (look >= 0 && column.kind === "category" && i !== look ? 46 : solid)), FAINT,
    ];
    this.map.redraw();
  }

  /** Return what a value of a column is called. */
  text(column, value) {
    if (column.kind === "number") return Number.isFinite(value) ? said(value, column.unit) : "none";
    return column.levels[value] ?? "none";
  }

  _header() {
    const { facts, levels } = this.about;
    $("facts").replaceChildren(
      el("span", {}, many(facts.cells, "cells")), el("span", {}, many(facts.wells, "wells")),
      el("span", {}, many(facts.plates, "plates")), el("span", {}, `${facts.model}, ${many(facts.z_dim, "latents")}`),
    );
    $("levels").replaceChildren(...Object.entries(levels).map(([name, level]) => el("button", {
      type: "button", "data-level": name, "aria-pressed": "false", title: many(level.count, name),
      onclick: () => name !== this.level && this.show(name).catch(complain),
    }, name[0].toUpperCase() + name.slice(1))));
  }

  _colours() {
    const groups = { metadata: "Metadata", measurement: "Measurements", latent: "Latent dimensions" };
    $("colour").replaceChildren(...Object.entries(groups).map(([group, title]) => {
      const options = this.columns.filter((c) => c.group === group && (c.kind === "number" || c.levels.length > 1));
      return options.length ? el("optgroup", { label: title }, ...options.map((c) =>
        el("option", { value: c.name, selected: c.name === this.colour }, c.unit ? `${c.label} (${c.unit})` : c.label))) : null;
    }).filter(Boolean));
    if ($("colour").value !== this.colour) this.colour = $("colour").value;
  }

  _tabs() {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    $("tab-walk").hidden = !this.about.sliders.length;
    for (const tab of tabs) {
      tab.addEventListener("click", () => this.openTab(tab.id.slice(4)));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const open = tabs.filter((t) => !t.hidden);
        const next = open[(open.indexOf(tab) + step + open.length) % open.length];
        this.openTab(next.id.slice(4));
        next.focus();
      });
    }
  }

  _listen() {
    $("colour").addEventListener("change", () => {
      this.colour = $("colour").value;
      this.emphasis = -1;
      this.recolour().catch(complain);
    });
    this.map.addEventListener("pick", (event) => this.pick(event.detail.point).catch(complain));
    this.map.addEventListener("hover", (event) => this._hover(event.detail));
    $("zoom-in").addEventListener("click", () => this.map.zoom(1.5));
    $("zoom-out").addEventListener("click", () => this.map.zoom(1 / 1.5));
    $("zoom-fit").addEventListener("click", () => this.map.fit());
    $("bright").addEventListener("click", () => {
      $("bright").setAttribute("aria-pressed", document.body.classList.toggle("bright"));
    });
    $("help-open").addEventListener("click", () => $("help").showModal());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour().catch(complain));
  }

  /** Show a small card beside the point under the pointer; its picture a moment later. */
  async _hover({ point, at }) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.map.mark({ hover: point });
    const card = $("card");
    clearTimeout(this.soon);
    if (point < 0) {
      card.hidden = true;
      return;
    }
    const names = [...new Set([...SHOWN_ON_CARD, this.colour])].filter((c) => this.column(c));
    const lines = await Promise.all(names.map(async (name) => {
      const column = this.column(name);
      return el("p", {}, el("span", {}, column.label), this.text(column, (await this.valuesOf(name))[point]));
    }));
    if (this.hovered !== point) return;
    const picture = card.querySelector("img");
    picture.hidden = true;
    card.querySelector("div").replaceChildren(...lines);
    card.hidden = false;
    const [w, h] = [this.map.box.clientWidth, this.map.box.clientHeight];
    card.style.left = `${at[0] > w / 2 ? at[0] - card.offsetWidth - 18 : at[0] + 18}px`;
    card.style.top = `${Math.min(Math.max(at[1] - card.offsetHeight / 2, 8), h - card.offsetHeight - 8)}px`;
    if (this.level !== "cells") return;
    this.soon = setTimeout(() => {
      picture.onload = () => (picture.hidden = this.hovered !== point);
      picture.src = api.crop(point);
    }, 60);
  }
}

async function start() {
  const page = new Page(await api.page());
  await page.show(page.level);
  document.body.dataset.ready = "true";
  window.morphospace = page; // for the console, and for tests
}

start().catch(complain);
