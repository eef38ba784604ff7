// The look of a point: an index into a list of {colour, shape, label, count}. Okabe and Ito (2008) for categories,
// in three shapes, for there are no more than eight colours that colour-blind people tell apart; viridis for numbers.

const LIGHT = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#000000"];
const DARK = ["#0082CC", "#E69F00", "#009E73", "#E0651A", "#CC79A7", "#7CC8F2", "#999999", "#F0E442"];
const MOST = 8 * 3 - 1;
const NONE = 65535;
const STEPS = 256;
// viridis (Smith and van der Walt 2015) at 21 even steps.
const VIRIDIS = [
  "#440154", "#471365", "#482475", "#463480", "#414487", "#3b528b", "#355f8d", "#2f6c8e", "#2a788e", "#25848e", "#21918c",
  "#1e9c89", "#22a884", "#2fb47c", "#44bf70", "#5ec962", "#7ad151", "#9bd93c", "#bddf26", "#dfe318", "#fde725",
];

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const grey = () => (isDark() ? "#5b626b" : "#bcbcb6");

export const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** Return the colour of a share of the scale; on a dark page its darkest part is left out, for it would not be seen. */
export function viridis(share) {
  const least = isDark() ? 0.16 : 0;
  const at = (least + Math.min(Math.max(share, 0), 1) * (1 - least)) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const [a, b] = [rgb(VIRIDIS[low]), rgb(VIRIDIS[low + 1])];
  return "#" + a.map((v, i) => Math.round(v + (b[i] - v) * (at - low)).toString(16).padStart(2, "0")).join("");
}

export const gradient = () => `linear-gradient(90deg, ${VIRIDIS.map((_, i) => viridis(i / (VIRIDIS.length - 1))).join(", ")})`;

/** Return {of: Uint16Array, looks, entries} of a column of categories; the rarest beyond 23 share one grey look. */
export function categories(column, codes) {
  const counts = new Uint32Array(column.levels.length + 1);
  for (const code of codes) counts[code === NONE ? column.levels.length : code] += 1;
  const none = counts[column.levels.length];
  const common = column.levels.map((_, i) => i).sort((a, b) => counts[b] - counts[a]);
  const own = common.slice(0, MOST).sort((a, b) => a - b);
  const palette = isDark() ? DARK : LIGHT;
  const looks = own.map((code, i) => ({
    colour: palette[i % 8], shape: Math.floor(i / 8), label: column.levels[code], count: counts[code], codes: [code],
  }));
  const others = common.slice(MOST);
  if (others.length) {
    const count = others.reduce((sum, code) => sum + counts[code], 0);
    looks.push({ colour: grey(), shape: 0, label: `${others.length} others`, count, codes: others });
  }
  if (none) looks.push({ colour: grey(), shape: 0, label: "none", count: none, codes: [NONE] });
  const lookOf = new Map(looks.flatMap((look, i) => look.codes.map((code) => [code, i])));
  return { of: Uint16Array.from(codes, (code) => lookOf.get(code)), looks };
}

/** Return {of, looks, scale} of a column of numbers, from its 1st to its 99th percentile, in logarithms if it wants. */
export function numbers(column, values) {
  const known = values.filter(Number.isFinite).sort();
  const looks = Array.from({ length: STEPS }, (_, i) => ({ colour: viridis(i / (STEPS - 1)), shape: 0 }));
  looks.push({ colour: grey(), shape: 0 });
  if (!known.length) return { of: new Uint16Array(values.length).fill(STEPS), looks, scale: null };
  const [least, most] = [known[0], known[known.length - 1]];
  const positive = known.find((v) => v > 0) ?? 0;
  const isLog = least >= 0 && positive > 0 && most / positive >= 100;
  let [low, high] = [least, most];
  if (isLog) low = positive;
  else if (known.length > 200) [low, high] = [0.01, 0.99].map((q) => known[Math.floor(q * (known.length - 1))]);
  const put = isLog ? (v) => Math.log(Math.max(v, positive)) : (v) => v;
  const [start, width] = [put(low), put(high) - put(low) || 1];
  const of = Uint16Array.from(values, (v) =>
    Number.isFinite(v) ? Math.round(Math.min(Math.max((put(v) - start) / width, 0), 1) * (STEPS - 1)) : STEPS);
  const missing = values.length - known.length;
  return { of, looks, scale: { low, high, isLog, below: least < low, above: most > high, missing } };
}
