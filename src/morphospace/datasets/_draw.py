"""Drawing a field of cells: shapes that compete for room, textures inside them, and the optics in front of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from morphospace.datasets._optics import Optics, expose
from morphospace.datasets._phenotypes import Look

Floats = NDArray[np.float64]
Labels = NDArray[np.uint16]

ACTIN, TUBULIN, DNA = range(3)
_ANGLES = 256  # directions in which a cell's radius is known
_MARGIN = 25  # px beyond the border in which cells may have their centre


class Cell(NamedTuple):
    """One cell before it is drawn."""

    y: float  # px, centre of the nucleus
    x: float
    angle: float  # of the long axis, radians
    outline: Floats  # (256,) px, radius by direction
    nucleus: float  # px, radius
    state: str  # interphase, multilobed or mitotic
    brightness: Floats  # (3,) factors on actin, tubulin, DNA


class Field(NamedTuple):
    """A field as a camera sees it, and the truth."""

    images: NDArray[np.uint16]  # (3, H, W), 12-bit counts shifted by 4
    nuclei: Labels  # (H, W), 0 outside
    cells: Labels  # (H, W), the nucleus of cell n is nucleus n
    states: list[str]  # of cell 1, 2, …


class _Window(NamedTuple):
    """The pixels a cell may cover."""

    where: tuple[slice, slice]
    dy: Floats  # (h, w) px from the cell's centre
    dx: Floats
    distance: Floats  # px
    direction: Floats  # radians
    depth: Floats  # distance as a share of the outline's radius: below 1 inside


def draw(rng: np.random.Generator, shape: tuple[int, int], count: float, look: Look, optics: Optics) -> Field:
    """Return a field of about `count` x `look.density` cells.

    Parameters
    ----------
    rng
        Decides everything that chance decides.
    shape
        Height and width, px.
    count
        Cells a field, on average, in an untreated well.
    look
        How the cells look.
    optics
        How the plate's microscope sees them.
    """
    around = np.prod([1 + 2 * _MARGIN / side for side in shape])
    found = _place(rng, shape, int(rng.poisson(count * look.density * around)), look)
    windows = [_window(cell, shape) for cell in found]
    labels = _compete(windows, shape)
    texture = _anisotropic(rng, (256, 256), (0.9, 14.0))
    network = _anisotropic(rng, (256, 256), (1.0, 9.0))
    light = np.zeros((3, *shape))
    cells, nuclei = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    states: list[str] = []
    for number, (cell, window) in enumerate(zip(found, windows, strict=True), start=1):
        body = _connected(labels[window.where] == number, window.distance)
        if body.sum() < 30:
            continue
        nucleus = _nucleus(rng, cell, window, look)
        light[:, *window.where] += _shine(rng, cell, window, body, nucleus, look, texture, network)
        states.append(cell.state)
        cells[window.where][body] = len(states)
        nuclei[window.where][body & ndimage.binary_fill_holes(nucleus > 0.3)] = len(states)
    _litter(rng, light)
    return Field(expose(rng, light, optics), nuclei, cells, states)


def _place(rng: np.random.Generator, shape: tuple[int, int], count: int, look: Look) -> list[Cell]:
    """Scatter cells, half of them beside another one, never nucleus on nucleus."""
    cells: list[Cell] = []
    for _ in range(count):
        cell = _cell(rng, look)
        for _ in range(30):
            centre = np.array([rng.uniform(-_MARGIN, side + _MARGIN) for side in shape])
            if cells and rng.random() < 0.45:
                near = cells[rng.integers(len(cells))]
                turn, gap = rng.uniform(0, 2 * np.pi), 0.75 * (near.outline.mean() + cell.outline.mean())
                centre = np.array([near.y + gap * np.sin(turn), near.x + gap * np.cos(turn)])
            if all(np.hypot(c.y - centre[0], c.x - centre[1]) > _room(c, cell) for c in cells):
                cells.append(cell._replace(y=float(centre[0]), x=float(centre[1])))
                break
    return cells


def _room(one: Cell, other: Cell) -> float:
    apart = 0.62 * (one.outline.mean() + other.outline.mean())
    return float(max(apart, 1.25 * (one.nucleus + other.nucleus)))


def _cell(rng: np.random.Generator, look: Look) -> Cell:
    """Draw a cell's shape and state, at the origin."""
    draw = rng.random()
    state = "mitotic" if draw < look.mitotic else "multilobed" if draw < look.mitotic + look.lobes else "interphase"
    angle = rng.uniform(0, np.pi)
    theta = np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False)
    radius = look.radius * rng.lognormal(0, 0.16) * (1.6 if rng.random() < 0.03 else 1.0)
    brightness = rng.lognormal(0, [0.22, 0.2, 0.15])
    nucleus = look.nucleus * (radius / look.radius) ** 0.4 * rng.lognormal(0, 0.06)
    if state == "mitotic":
        radius = min(22.0, 0.75 * look.radius) * rng.lognormal(0, 0.06)
        outline = radius * (1 + 0.03 * np.cos(2 * (theta - angle)))
        return Cell(0, 0, angle, outline, 0.5 * radius, state, brightness * [1.7, 1.7, 2.6])
    stretch = 1 + (look.elongation - 1) * rng.uniform(0.4, 1.9)
    long, short = radius * np.sqrt(stretch), radius / np.sqrt(stretch)
    outline = long * short / np.hypot(short * np.cos(theta - angle), long * np.sin(theta - angle))
    outline *= 1 + sum(
        rng.normal(0, 0.09 / k**0.5) * np.cos(k * (theta - rng.uniform(0, 2 * np.pi))) for k in range(2, 7)
    )
    for _ in range(rng.integers(2, 5)):
        away = np.angle(np.exp(1j * (theta - rng.choice([angle, angle + np.pi]) - rng.normal(0, 0.7))))
        outline *= 1 + look.spikes * rng.lognormal(0, 0.5) * np.exp(-np.abs(away) / rng.uniform(0.12, 0.3))
    return Cell(0, 0, angle, np.clip(outline, 1.15 * nucleus, 110), nucleus, state, brightness)


def _window(cell: Cell, shape: tuple[int, int]) -> _Window:
    reach = float(cell.outline.max()) + 2
    edges = [
        (max(0, int(c - reach)), min(side, int(c + reach) + 1)) for c, side in zip((cell.y, cell.x), shape, strict=True)
    ]
    where = (slice(*edges[0]), slice(*edges[1])) if all(a < b for a, b in edges) else (slice(0, 0), slice(0, 0))
    dy, dx = np.meshgrid(
        np.arange(where[0].start, where[0].stop) - cell.y,
        np.arange(where[1].start, where[1].stop) - cell.x,
        indexing="ij",
    )
    distance, direction = np.hypot(dy, dx), np.arctan2(dy, dx)
    position = (direction + np.pi) * _ANGLES / (2 * np.pi)
    radius = np.interp(position, np.arange(_ANGLES + 1), np.append(cell.outline, cell.outline[0]))
    return _Window(where, dy, dx, distance, direction, distance / radius)


def _compete(windows: list[_Window], shape: tuple[int, int]) -> Labels:
    """Give each pixel to the cell in which it lies deepest: touching cells share an edge, none overlap."""
    labels, best = np.zeros(shape, np.uint16), np.ones(shape)
    for number, window in enumerate(windows, start=1):
        wins = window.depth < best[window.where]
        labels[window.where][wins] = number
        best[window.where][wins] = window.depth[wins]
    return labels


def _connected(mask: NDArray[np.bool_], distance: Floats) -> NDArray[np.bool_]:
    """Keep the part of a cell that holds its centre, or lies next to it."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == parts[np.unravel_index(np.where(mask, distance, np.inf).argmin(), mask.shape)])


def _anisotropic(rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]) -> Floats:
    """Return noise of unit variance, drawn out along its rows, without a seam."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray(noise / noise.std())


def _nucleus(rng: np.random.Generator, cell: Cell, window: _Window, look: Look) -> Floats:
    """Return the share of a nucleus over each pixel, 0 to 1, chromatin and nucleoli included, shape of the window."""
    if cell.state == "mitotic":
        return _condensed(rng, cell, window)
    lobes = [(0.0, 0.0, cell.nucleus)]
    if cell.state == "multilobed":
        turn = rng.uniform(0, 2 * np.pi)
        ways = turn + np.arange(3) * 2.1 + rng.normal(0, 0.2, 3)
        lobes = [(0.62 * cell.nucleus * np.sin(w), 0.62 * cell.nucleus * np.cos(w), 0.6 * cell.nucleus) for w in ways]
    share = np.zeros(window.dy.shape)
    for y, x, radius in lobes:
        share = np.maximum(share, _ellipse(window, y, x, radius, 1.22, cell.angle))
    grain = ndimage.gaussian_filter(rng.standard_normal(share.shape), 2.0) * 7
    share *= np.clip(1 + 0.13 * grain, 0.6, 1.4)
    for _ in range(rng.integers(2, 5)):
        turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.55) * cell.nucleus
        spot = _ellipse(window, far * np.sin(turn), far * np.cos(turn), rng.uniform(2.0, 3.6), 1.1, turn)
        share *= 1 - min(0.45, 0.28 * look.nucleoli) * spot
    return share


def _ellipse(window: _Window, y: float, x: float, radius: float, stretch: float, angle: float) -> Floats:
    """Return an ellipse with a soft edge of about 2 px, 1 inside."""
    along = (window.dx - x) * np.cos(angle) + (window.dy - y) * np.sin(angle)
    across = (window.dy - y) * np.cos(angle) - (window.dx - x) * np.sin(angle)
    distance = np.hypot(along / np.sqrt(stretch), across * np.sqrt(stretch))
    return np.asarray(np.clip((radius - distance) / 2 + 0.5, 0, 1))


def _condensed(rng: np.random.Generator, cell: Cell, window: _Window) -> Floats:
    """Return a rosette of condensed chromosomes, as a monopolar spindle makes it."""
    ring = np.exp(-(((window.distance - 0.6 * cell.nucleus) / (0.33 * cell.nucleus)) ** 2))
    arms = 1 + 0.3 * np.cos(rng.integers(6, 10) * window.direction + rng.uniform(0, 2 * np.pi))
    return np.asarray(np.clip(ring * arms, 0, 1.3))


def _shine(
    rng: np.random.Generator,
    cell: Cell,
    window: _Window,
    body: NDArray[np.bool_],
    nucleus: Floats,
    look: Look,
    texture: Floats,
    network: Floats,
) -> Floats:
    """Return the light of one cell, shape ``(3, h, w)``, counts before the optics."""
    inward = ndimage.distance_transform_edt(np.pad(body, 1))[1:-1, 1:-1]
    height = (1 - np.exp(-inward / 5)) * (0.65 + 0.5 * np.exp(-((window.distance / 24) ** 2)))
    grain = 1 + 0.16 * ndimage.gaussian_filter(rng.standard_normal(body.shape), 3.0) * 10
    actin = height * grain + 0.9 * look.cortex * np.exp(-((inward - 1) / 2.0))
    actin += 0.3 * look.fibres * height * np.maximum(0, _rotated(rng, window, cell.angle, texture))
    clumps = ndimage.gaussian_filter(rng.standard_normal(body.shape), 1.8) * 6.4
    actin += 3.0 * look.puncta * np.maximum(0, clumps - 0.9) * height
    fibres = _microtubules(rng, cell, window, network, look.bundles)
    near = np.exp(-np.maximum(0, window.distance - cell.nucleus) / 12)
    tubulin = height * (0.35 + 0.5 * fibres) * (0.6 + 0.9 * near) * (1 - 0.3 * np.minimum(nucleus, 1))
    if cell.state == "mitotic":
        tubulin = height * (0.5 + 2.2 * np.exp(-((window.distance / 7) ** 2)) + 0.3 * fibres)
    light = np.stack([look.actin * actin, look.tubulin * tubulin, look.dna * nucleus])
    return np.asarray(np.where(body, light * cell.brightness[:, None, None], 0))


def _rotated(rng: np.random.Generator, window: _Window, angle: float, texture: Floats) -> Floats:
    """Sample straight fibres along `angle` from a texture."""
    shift = rng.uniform(0, 256, 2)
    along = window.dx * np.cos(angle) + window.dy * np.sin(angle)
    across = window.dy * np.cos(angle) - window.dx * np.sin(angle)
    return _sample(texture, across + shift[0], along + shift[1])


def _microtubules(rng: np.random.Generator, cell: Cell, window: _Window, network: Floats, bundles: float) -> Floats:
    """Sample wavy fibres along the long axis and across it; bundles are few thick arcs round a point off the centre."""
    warp = [
        3.5 * noise for noise in ndimage.gaussian_filter(rng.standard_normal((2, *window.dy.shape)), (0, 6, 6)) * 21
    ]
    total = np.zeros(window.dy.shape)
    for turn, weight in ((0.0, 1.0), (0.5, 0.8), (-0.5, 0.8), (1.4, 0.5)):
        angle, shift = cell.angle + turn + rng.normal(0, 0.1), rng.uniform(0, 256, 2)
        along = window.dx * np.cos(angle) + window.dy * np.sin(angle) + shift[1]
        across = window.dy * np.cos(angle) - window.dx * np.sin(angle) + shift[0] + warp[0]
        total += weight * np.maximum(0, _sample(network, across, along)) ** 1.3
    away, off = rng.uniform(0, 2 * np.pi), 0.9 * cell.nucleus
    y, x = window.dy - off * np.sin(away), window.dx - off * np.cos(away)
    arcs = _sample(network, np.hypot(y, x) / 1.7 + 0.5 * warp[1], np.arctan2(y, x) * 20 + 80)
    return np.asarray((1 - bundles) * 0.6 * total + bundles * 1.5 * np.maximum(0, arcs - 0.2))


def _sample(texture: Floats, rows: Floats, columns: Floats) -> Floats:
    return np.asarray(ndimage.map_coordinates(texture, [rows, columns], order=1, mode="grid-wrap"))


def _litter(rng: np.random.Generator, light: Floats) -> None:
    """Add debris: specks of a few px, mostly in one channel, outside of the truth."""
    for _ in range(rng.poisson(5)):
        y, x = (int(rng.integers(4, side - 4)) for side in light.shape[1:])
        radius = rng.uniform(0.7, 2.0)
        yy, xx = np.mgrid[-4:5, -4:5][:, : light.shape[1] - y + 4, : light.shape[2] - x + 4]
        speck = np.exp(-(yy**2 + xx**2) / (2 * radius**2)) * rng.lognormal(5.2, 0.6)
        light[:, y - 4 : y + 5, x - 4 : x + 5] += speck * rng.dirichlet([0.5] * 3)[:, None, None]
