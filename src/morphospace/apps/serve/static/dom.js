// Elements of the page. Text goes in as text, never as markup: compounds have names with quotes, slashes and "<".

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** Return an element with properties (class, on…, data, attributes by name) and children (text or elements). */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((c) => c !== null && c !== undefined).map((c) => (c instanceof Node ? c : String(c))));
  return made;
}

/** Return a small picture of a disc, a triangle or a square in a colour. */
export function glyph(shape, colour) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 12 12");
  picture.setAttribute("class", "glyph");
  picture.setAttribute("aria-hidden", "true");
  const outlines = ["M6 1a5 5 0 1 0 .01 0z", "M6 .6 11.4 10.6H.6z", "M1.5 1.5h9v9h-9z"];
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", outlines[shape]);
  path.setAttribute("fill", colour);
  picture.append(path);
  return picture;
}

/** Say a mistake where it is seen and heard; it goes by itself. */
export function complain(error) {
  const notice = $("notice");
  notice.replaceChildren(
    el("span", {}, error.message ?? error),
    el("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => (notice.hidden = true) }, "×"),
  );
  notice.hidden = false;
  clearTimeout(complain.timer);
  complain.timer = setTimeout(() => (notice.hidden = true), 12000);
}

const WHOLE = new Intl.NumberFormat("en");

/** Return a number as a person reads it, three digits that count, with its unit. */
export function said(value, unit = "") {
  const size = Math.abs(value);
  let text;
  if (Number.isInteger(value) && size < 1e15) text = WHOLE.format(value);
  else if (size >= 1000) text = WHOLE.format(Math.round(value));
  else if (size >= 0.001) text = String(Number(value.toPrecision(3)));
  else text = value.toExponential(1);
  return (unit ? `${text.replace("-", "−")} ${unit}` : text.replace("-", "−"));
}

/** Return "1 cell" or "2 cells". */
export const many = (n, things) => `${WHOLE.format(n)} ${n === 1 ? things.replace(/s$/, "") : things}`;
