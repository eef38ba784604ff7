// A picture from outside: which cells are like it?

import * as api from "./api.js";
import { $, complain, el, many } from "./dom.js";
import { channels, figure, tile } from "./look.js";

export class Search {
  constructor(page) {
    this.page = page;
    const { facts, upload } = page.about;
    const wanted = facts.channels.length === 3 ? "RGB" : "grey";
    this.input = el("input", { type: "file", accept: "image/png", id: "upload", class: "hidden-input",
      onchange: () => this.input.files[0] && this.send(this.input.files[0]).catch(complain) });
    this.zone = el("label", { class: "zone", for: "upload" },
      el("strong", {}, "Choose or drop a crop"),
      el("span", {}, `one cell, an 8-bit ${wanted} PNG of at most ${facts.size} × ${facts.size} px (${facts.channels.join(", ")}), `
        + "0 outside the cell, scaled as the model's crops are"));
    this.answer = el("div", { "aria-live": "polite" });
    this.limit = upload;
    $("search").replaceChildren(this.input, this.zone, this.answer);
    this._drops();
  }

  async send(file) {
    this.page.openTab("search");
    this.input.value = "";
    if (file.size > this.limit) {
      this._refuse(`${file.name} has ${Math.ceil(file.size / 2 ** 20)} MB; a crop of one cell is far smaller.`);
      return;
    }
    this.answer.replaceChildren(el("p", { class: "note" }, "Searching …"));
    const { level, filters, look } = this.page;
    let found;
    try {
      found = await api.search(file, level, { metric: look.metric, ...filters.tags() });
    } catch (error) {
      this._refuse(error.message);
      return;
    }
    this._show(file.name, level, found);
  }

  _show(name, level, found) {
    const { facts } = this.page.about;
    const pictures = [figure(found.picture, name, facts)];
    if (found.reconstruction) pictures.push(figure(found.reconstruction, "As the model draws it", facts));
    this.answer.replaceChildren(...[
      el("div", { class: "figures" }, ...pictures), channels(facts),
      remarks(found.remarks),
      el("h3", {}, `${many(found.hits.length, level)} most like it`),
      el("div", { class: "tiles" }, ...found.hits.map((hit) => tile(this.page, level, hit))),
    ].filter(Boolean));
    if (level === this.page.level) this.page.map.mark({ selected: -1, hits: found.hits.map((h) => h.item) });
  }

  _refuse(reason) {
    this.page.map.mark({ hits: [] });
    this.answer.replaceChildren(el("p", { class: "refusal", role: "alert" }, reason));
  }

  _drops() {
    let depth = 0;
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    const mark = (by) => {
      depth = by ? Math.max(depth + by, 0) : 0;
      document.body.classList.toggle("dropping", depth > 0);
    };
    window.addEventListener("dragenter", (event) => hasFile(event) && mark(1));
    window.addEventListener("dragleave", (event) => hasFile(event) && mark(-1));
    window.addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      mark(0);
      if (event.dataTransfer.files[0]) this.send(event.dataTransfer.files[0]).catch(complain);
    });
  }
}

/** Return the first remark, with the others behind it. */
function remarks([first, ...others]) {
  if (!first) return null;
  return el("div", { class: "remark" }, el("p", {}, first), others.length ? el("details", {},
    el("summary", {}, "Each class"), el("ul", {}, ...others.map((other) => el("li", {}, other)))) : null);
}
