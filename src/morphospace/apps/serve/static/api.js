// What the server is asked. A mistake is an Error with the server's own line.

let key = "";

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: it may have been ended. Start `morphospace serve` again.");
  }
  if (answer.ok) return answer;
  let said = `${answer.status} ${answer.statusText}`;
  try {
    said = (await answer.json()).error ?? said;
  } catch { /* not from our server */ }
  throw new Error(said);
}

export async function page() {
  const found = await (await ask("/api/page")).json();
  key = found.facts.key;
  return found;
}

export async function points(level) {
  return new Float32Array(await (await ask(`/api/${level}/points`)).arrayBuffer());
}

/** Return the values of a column: Float32Array of numbers, or Uint16Array of codes. */
export async function values(level, index, kind) {
  const bytes = await (await ask(`/api/${level}/columns/${index}`)).arrayBuffer();
  return kind === "number" ? new Float32Array(bytes) : new Uint16Array(bytes);
}

export async function item(level, number, signal) {
  return (await ask(`/api/${level}/items/${number}`, { signal })).json();
}

function query({ metric, including, excluding, top = 12 }) {
  const given = new URLSearchParams({ metric, top });
  for (const tag of including) given.append("including", tag);
  for (const tag of excluding) given.append("excluding", tag);
  return given;
}

export async function similar(level, number, wanted, signal) {
  return (await ask(`/api/${level}/items/${number}/similar?${query(wanted)}`, { signal })).json();
}

export async function search(file, level, wanted) {
  const given = query(wanted);
  given.set("level", level);
  const options = { method: "POST", body: file, headers: { "Content-Type": "image/png" } };
  return (await ask(`/api/search?${given}`, options)).json();
}

export async function walk(start, moves) {
  const body = JSON.stringify({ start, moves });
  return (await ask("/api/walk", { method: "POST", body, headers: { "Content-Type": "application/json" } })).blob();
}

// The key is of the data: another run on the same port must not show this one's pictures from the browser's cache.
export const crop = (cell) => `/api/cells/${cell}/crop.png?v=${key}`;
export const reconstruction = (cell) => `/api/cells/${cell}/reconstruction.png?v=${key}`;
