// What the colours mean. An entry of a category is a button: it shows only that, and again all.

import { gradient } from "./colours.js";
import { el, glyph, said } from "./dom.js";

export function drawLegend(box, page) {
  const focused = [...box.children].findIndex((child) => child.contains(document.activeElement));
  const { column, looks, scale } = page.painted;
  if (column.kind === "number") box.replaceChildren(...bar(column, scale));
  else box.replaceChildren(...looks.map((look, i) => entry(page, column, look, i)));
  if (focused >= 0) box.children[focused]?.focus();
}

function entry(page, column, look, i) {
  const isTag = column.tag && look.codes.length === 1 && look.codes[0] < column.levels.length;
  const isOn = isTag && page.filters.has(column.name, look.codes[0]);
  const emphasise = (on) => () => page.emphasise(on ? i : -1);
  const content = [glyph(look.shape, look.colour), el("span", { class: "name" }, look.label),
    el("span", { class: "number" }, said(look.count))];
  const listeners = { onpointerenter: emphasise(true), onpointerleave: emphasise(false) };
  if (!isTag) return el("div", { class: "entry", ...listeners }, ...content);
  return el("button", {
    ...listeners, type: "button", class: "entry", "aria-pressed": String(isOn), title: look.label,
    onfocus: emphasise(true), onblur: emphasise(false),
    onclick: () => page.filters.toggle(column.name, look.codes[0]),
  }, ...content);
}

function bar(column, scale) {
  if (!scale) return [el("p", { class: "note" }, "No cell has a value.")];
  const strip = el("div", { class: "strip" });
  strip.style.background = gradient();
  const middle = scale.isLog ? Math.sqrt(scale.low * scale.high) : (scale.low + scale.high) / 2;
  const ends = [`${scale.below ? "≤ " : ""}${said(scale.low)}`, said(middle), `${scale.above ? "≥ " : ""}${said(scale.high)}`];
  const notes = [column.unit ? `in ${column.unit}` : column.group === "latent" ? "in units of the latent space" : "",
    scale.isLog ? "logarithmic" : "", scale.missing ? `${said(scale.missing)} without a value are grey` : ""];
  return [strip, el("div", { class: "ticks" }, ...ends.map((t) => el("span", {}, t))),
    el("p", { class: "note" }, notes.filter(Boolean).join("; "))];
}
