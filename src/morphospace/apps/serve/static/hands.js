// Mouse, fingers and keys on the map, which says what they point at by the events "hover" and "pick".

/** Let a map be moved, zoomed and pointed at. */
export function listen(map) {
  const { box } = map;
  const held = new Map();
  let travelled = 0;
  const here = (event) => {
    const around = box.getBoundingClientRect();
    return [event.clientX - around.left, event.clientY - around.top];
  };
  const say = (name, detail) => map.dispatchEvent(new CustomEvent(name, { detail }));
  box.addEventListener("pointerdown", (event) => {
    box.setPointerCapture(event.pointerId);
    held.set(event.pointerId, here(event));
    travelled = held.size > 1 ? Infinity : 0;
  });
  box.addEventListener("pointermove", (event) => {
    const now = here(event);
    const before = held.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") say("hover", { point: map.pick(...now), at: now });
      return;
    }
    travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (held.size === 1 && travelled > 4) map.move(now[0] - before[0], now[1] - before[1]);
    else if (held.size === 2) pinch(map, held, event.pointerId, now);
    if (travelled > 4) say("hover", { point: -1 });
    held.set(event.pointerId, now);
  });
  const lift = (event) => {
    if (held.delete(event.pointerId) && travelled <= 4 && event.type === "pointerup") {
      say("pick", { point: map.pick(...here(event)) });
    }
  };
  box.addEventListener("pointerup", lift);
  box.addEventListener("pointercancel", lift);
  box.addEventListener("pointerleave", () => say("hover", { point: -1 }));
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    map.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...here(event));
  }, { passive: false });
  box.addEventListener("keydown", (event) => key(map, event, say));
}

function pinch(map, held, moving, now) {
  const [other] = [...held].filter(([id]) => id !== moving).map(([, at]) => at);
  const before = held.get(moving);
  const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
  map.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  map.move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
}

function key(map, event, say) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = 60;
  const todo = {
    ArrowLeft: () => map.move(step, 0),
    ArrowRight: () => map.move(-step, 0),
    ArrowUp: () => map.move(0, step),
    ArrowDown: () => map.move(0, -step),
    "+": () => map.zoom(1.3),
    "=": () => map.zoom(1.3),
    "-": () => map.zoom(1 / 1.3),
    0: () => map.fit(),
    Enter: () => say("pick", { point: map.pick(map.box.clientWidth / 2, map.box.clientHeight / 2, Infinity) }),
    Escape: () => say("pick", { point: -1 }),
  }[event.key];
  if (todo) {
    event.preventDefault();
    todo();
  }
}
