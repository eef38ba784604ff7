"""What to look for in each picture, by the folder and the name of its file."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from morphospace.reporting.page import Picture

# Pattern of <folder>/<file>, title, caption. The first that fits is used; {} is the file's name from the first * on.
_CAPTIONS = [
    (
        "illumination/*",
        "Illumination functions",
        "How unevenly each plate and channel is lit: images are divided by this. It should be smooth and brightest "
        "near the middle; cells that show through mean too little smoothing, and a value far above 2 at a corner "
        "means that noise is amplified there.",
    ),
    (
        "segmentation/stains",
        "Channels beside their names",
        "The same nuclei in each channel. DNA should fill the nuclei and nothing else; tubulin is densest round the "
        "nucleus, in fibres; actin reaches the edge of the cell. Below, a point a plate and pair of channels: left of "
        "the grey, the two names look exchanged.",
    ),
    (
        "segmentation/doubtful",
        "Where the doubtful fields lie",
        "The share of the fields of each well whose segmentation is doubtful. A whole plate is a wrong channel or a "
        "setting that does not fit; a row or a corner is a stain or the focus; single wells may be a compound.",
    ),
    (
        "segmentation/doubtful_*",
        "Doubtful segmentation of {}",
        "Outlines on a field where the stains have no edges, or too few. Straight lines between nuclei are wedges of "
        "background; outlines that ignore what is grey or blue belong to another channel, or to noise.",
    ),
    (
        "segmentation/*",
        "Segmentation of {}",
        "Outlines on the images they were found in. Look for nuclei that are split or merged, cells that swallow a "
        "neighbour, and debris with an outline. Cells that touch the border have none, by intent; fields that were "
        "taken whole have none at all.",
    ),
    (
        "crops/size_histogram",
        "Sizes of the cells",
        "The longest side of each cell's box, beside the side of the tile. What lies to the right of the line was "
        "dropped: if the peak is near it, the tile is too small and the large cells are missing from all that "
        "follows.",
    ),
    (
        "crops/mean_histogram",
        "Means of the tiles",
        "The mean of each tile over its channels, and the bounds beyond which tiles were dropped. Empty glass should "
        "lie beyond a bound; if it makes a peak between them, tiles without tissue are in all that follows.",
    ),
    (
        "crops/contact_sheet",
        "Tiles, one row a treatment or field",
        "What the model sees. Rows should differ if the treatments do. Look for cut cells, empty tiles, several "
        "nuclei in one tile, and rows that differ in brightness only.",
    ),
    (
        "training/*epoch*",
        "Reconstructions as training goes on",
        "The same cells after each epoch. First the outline appears, then the nucleus, then texture. If late rows "
        "equal early ones, training has stalled; if all cells look alike, the latent space has collapsed.",
    ),
    (
        "training/*",
        "Training: {}",
        "Training and validation, epoch by epoch, and the two parts of the loss. The lines should fall together; a "
        "validation line that turns up while training falls is overfitting. A KL term near 0 means that the latent "
        "space is unused.",
    ),
    (
        "profile/treatments",
        "Treatments, feature by feature",
        "How far each treatment lies from the negative controls of its plates. Doses and compounds of one mechanism "
        "should look alike; rows as pale as the controls' did nothing that the features show.",
    ),
    (
        "profile/replicates",
        "How alike replicates are",
        "Correlation of wells of one treatment, beside wells of other compounds on the same plates. The further the "
        "line lies to the right of the grey, the more a profile says of its treatment.",
    ),
    (
        "latent/*walk*",
        "Walks through the latent space",
        "One latent dimension changes along a row, all others stay. A dimension in use changes one thing smoothly; "
        "one out of use changes nothing.",
    ),
    (
        "latent/*generat*",
        "Cells that nobody saw",
        "Decoded from random latent vectors: above from N(0, I), below from a distribution with the shape and the "
        "tails of the latent vectors of training cells. They should look like cells, and unlike one another; blobs "
        "above mean that real cells lie elsewhere than N(0, I).",
    ),
    (
        "latent/*sample*",
        "Cells drawn from the prior",
        "Decoded from random latent vectors. They should look like cells, and unlike one another; blobs mean that "
        "the latent vectors of real cells lie elsewhere than the prior.",
    ),
    (
        "latent/*hist*",
        "Latent values against the prior",
        "The latent values of real cells, dimension by dimension, with the normal curve that they are drawn towards. "
        "A spike at 0 is a dimension out of use; a shifted or wide one carries information that the prior does not "
        "expect.",
    ),
    (
        "latent/*kl*",
        "Information in each latent dimension",
        "The KL divergence of each dimension, sorted. Dimensions near 0 are not used; how many are in use is the "
        "size of the latent space that the model found worth its price.",
    ),
    (
        "latent/*",
        "Latent space: {}",
        "Latent vectors of real cells, encoded from the images themselves.",
    ),
    (
        "similarity/random",
        "Originals over reconstructions: drawn at random",
        "Test cells, none of whose wells were seen in training. The fair picture of the result: judge by this row, "
        "not by the best. Where the model refines what its encoder finds, the encoder alone has a row, too. PCA with "
        "as many numbers a cell stands below; compare sharpness of the nucleus and of the outline.",
    ),
    (
        "similarity/best",
        "Originals over reconstructions: the best",
        "The test cells with the highest similarity. They are usually small or dim: most of their tile is black, and "
        "black is easily reconstructed.",
    ),
    (
        "similarity/worst",
        "Originals over reconstructions: the worst",
        "The test cells with the lowest similarity. Look for segmentation mistakes, saturated cells, and rare "
        "shapes: they show what the model has not learnt, or what should not have been a cell.",
    ),
    (
        "similarity/bars",
        "Similarity beside its floors",
        "Further left is better. A floor that knows nothing of the cell reaches a high similarity, since most of a "
        "tile is black: only the distance to the floors counts. S legacy is the thesis's: of the model with a sampled "
        "latent and pixels of 0 to 255, of a floor stretched alone.",
    ),
    (
        "similarity/per_channel",
        "Similarity inside the cell, by channel",
        "The black around the cell left out. Here methods differ; a channel where the model falls behind PCA is the "
        "one it has not learnt.",
    ),
    (
        "dose/plate_*",
        "Plate {}: distance from the negative controls",
        "Rows and columns as on the bench. Distance should follow the doses; a gradient from edge to centre, or a row "
        "that differs whatever is in it, is the plate and not the compound.",
    ),
    (
        "dose/curves",
        "Dose and response",
        "A point a well, and the range of the negative controls in grey. A response leaves the grey and goes on rising "
        "with dose; the interval of rho says whether chance would do as much.",
    ),
    (
        "dose/controls",
        "Controls apart",
        "Distances of all wells by their type. The positive controls should stand above all negative ones: Z' above 0 "
        "says so with three standard deviations of either to spare.",
    ),
    (
        "interpret/latents",
        "What the latents move with",
        "Each latent against each property; a dot where no more than the stated share of the dots is chance. A latent "
        "that moves with the plate, or with brightness alone, says little of biology.",
    ),
    (
        "interpret/strips",
        "Cells along the latents that move most",
        "The average cell with one latent moved, for the top latents of each property. It should change in what the "
        "row is named after; if it changes in something else too, the latent means both.",
    ),
    (
        "moa/floors",
        "Mechanisms of action beside what must be beaten",
        "The line is the embedding. A floor whose interval reaches it does as well for nothing: metadata alone, the "
        "number of cells, their brightness, or pixels projected at random or by PCA on as many numbers.",
    ),
    (
        "moa/confusion_NSCB",
        "Who is taken for whom in other batches",
        "As above, with neighbours of the same batch left out. What is right only above was recognised by its batch.",
    ),
    (
        "moa/confusion*",
        "Who is taken for whom",
        "The mechanism of the nearest treatment of another compound. Right ones lie on the diagonal; a full column "
        "elsewhere is a mechanism that everything resembles.",
    ),
    (
        "moa/map*",
        "The wells, by mechanism",
        "A map of the profiles of wells. Nothing is scored on it. Look whether wells of a mechanism lie together, and "
        "apart from the negative controls; axes, sizes and gaps mean nothing.",
    ),
    (
        "budget/stages",
        "Where the time went",
        "Seconds of each stage. Processor time over wall-clock time is how many cores were busy.",
    ),
    (
        "budget/predicted",
        "Predicted and actual",
        "Seconds of each stage as the plan predicted them, with the spread of the benchmark, and as they were; the "
        "axis is logarithmic. Bars that all differ by one factor mean another machine, or a busy one; one bar that "
        "stands out is a stage that does not grow as was thought.",
    ),
    (
        "budget/extrapolation",
        "The size of the thesis, on this machine",
        "Hours if the run had the thesis's number of cells, scaled linearly stage by stage. A small run overstates "
        "it, since starting up is scaled along.",
    ),
]


def pictures(paths: Sequence[Path], limit: int = 12) -> list[Picture]:
    """Return pictures with captions, in the order of `_CAPTIONS` and then of their names, at most `limit`.

    What holds for several pictures is said at the first of them.
    """
    ranked = sorted((*_place(path), path.name, path) for path in paths)
    found: list[Picture] = []
    for rank, _, path in ranked[:limit]:
        picture = _picture(path, rank)
        said = any(other.caption == picture.caption for other in found)
        found.append(replace(picture, caption="As above.") if said else picture)
    return found


def _place(path: Path) -> tuple[int]:
    name = f"{path.parent.name}/{path.stem}"
    fits = (i for i, (pattern, _, _) in enumerate(_CAPTIONS) if fnmatchcase(name, pattern))
    return (next(fits, len(_CAPTIONS)),)


def _picture(path: Path, rank: int) -> Picture:
    if rank == len(_CAPTIONS):
        return Picture(path, f"{path.parent.name}: {path.stem}", "No description was written for this picture.")
    pattern, title, caption = _CAPTIONS[rank]
    fixed = pattern.partition("/")[2].partition("*")[0]
    return Picture(path, title.replace("{}", path.stem.removeprefix(fixed)), caption)
